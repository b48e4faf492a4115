"""Who becomes a daemon closes all that is open, and what he opens next has the same numbers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.daemons import Daemon

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import os, sys, threading, time
from pathlib import Path
import cmfd

def quiet():
    sender, me = ex.session._sender, str(threading.get_native_id())
    if sender._flushed != sender._flush_token:
        return False
    try:
        tasks = [task for task in Path("/proc/self/task").iterdir() if task.name != me]
        return all((task / "stat").read_text().split()[2] == "S" for task in tasks)
    except OSError:  # one has ended
        return False

ex = cmfd.start("pipe", "stage")
assert ex.session.background.wait(20.0)  # what it reads and runs has files open, too
ex.flush(20.0 if sys.argv[1] == "there" else 0.0)
while not quiet():  # in the middle of a call of libzmq's, nothing could be done
    time.sleep(0.01)
os.closerange(3, 256)
files = [os.open(f"{i}.txt", os.O_RDWR | os.O_CREAT) for i in range(100)]
for number in files:
    os.write(number, b"whole")
for i in range(20_000):
    ex.metric("loss", float(i))
ex.param("after", True)
if not (child := os.fork()):
    ex.metric("child", 1.0)
    os._exit(0)
os.waitpid(child, 0)
if sys.argv[1] == "there":
    assert ex.flush(20.0), "not committed"
ex.end()
ex.session.close()
assert [n for n in files if os.pread(n, 99, 0) != b"whole"] == []
"""


def _run(tmp_path: Path, daemon: str) -> None:
    command = [sys.executable, "-c", _PROGRAM, daemon]
    done = subprocess.run(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_what_a_program_opens_in_place_of_all_it_closed_stays_whole(
    node: Path, tmp_path: Path
) -> None:
    """Neither is a journal written to the program's files, nor do libzmq's threads end it."""
    daemon = Daemon(node, log=tmp_path / "daemon.log").start()
    try:
        _run(tmp_path, "there")
        assert sum(map(len, daemon.values().values())) >= 20_000
    finally:
        daemon.close()


def test_nor_is_it_hurt_where_there_is_no_daemon(node: Path, tmp_path: Path) -> None:
    """The journal has all, and its lock says that the program lives."""
    _run(tmp_path, "away")
    sizes = sorted(path.stat().st_size for path in (node / "journals").glob("*.cmfj"))
    assert len(sizes) == 2
    assert sizes[1] > 20_000 * 32
