"""A program goes on whatever happens beside it: no descriptors left, a logger that raises."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.daemons import wait_until

import cmfd
from cmfd.client.launch import daemon_runs

if TYPE_CHECKING:
    from pathlib import Path


def test_a_warning_that_cannot_be_logged_does_no_harm(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program's own filters and handlers may raise; the call that is warned of must not."""

    def refuse(record: logging.LogRecord) -> bool:
        raise RuntimeError(record.name)

    logger = logging.getLogger("cmfd")
    logger.addFilter(refuse)
    try:
        cmfd.metric("loss", "not a number")  # type: ignore[arg-type]  # what is warned of
    finally:
        logger.removeFilter(refuse)
    assert "metric() did nothing" in capsys.readouterr().err
    assert list((node / "journals").glob("*.cmfj"))


def test_a_warning_names_the_call_that_a_program_made(
    node: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not what it calls in turn."""
    del node
    ex = cmfd.start("pipe", "stage")
    ex.output(None)  # type: ignore[arg-type]  # what is warned of
    assert "cmfd: input() or output() did nothing: " in caplog.text


_FULL = """
import os, resource, sys
import cmfd
import cmfd.client.start, cmfd.content.cache, zmq

resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for number in taken[:int(sys.argv[1])]:
    os.close(number)
with cmfd.start() as ex:
    ex.metric("loss", 1.0)
    ex.input(__file__)
    ex.flush(0.0)
print("done")
"""


@pytest.mark.slow
def test_a_program_without_descriptors_goes_on(node: Path, tmp_path: Path) -> None:
    """However many are left: libzmq aborts a process that has too few for what it begins with."""
    program = tmp_path / "program.py"
    program.write_text(_FULL)
    for n in (0, 2, 3, 5, 6, 7, 8, 11):
        done = subprocess.run(
            [sys.executable, program.name, str(n)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "done\n"), (n, done.stderr)
    assert list((node / "journals").glob("*.cmfj"))


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 takes modules from there first")
def test_modules_in_the_working_directory_keep_no_daemon_from_starting(
    node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program's own `queue.py` may lie there, or anybody's in a directory such as /tmp."""
    for name in ("queue", "select", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not what was meant')\n")
    monkeypatch.setenv("CMFD_AUTOSTART", "true")
    monkeypatch.setenv("CMFD_SITE", str(tmp_path / "site"))
    ex = cmfd.start("pipe", "stage")
    ex.metric("loss", 1.0)
    wait_until(lambda: ex.flush(1.0), "a daemon takes it in")
    os.kill(int((node / "daemon.lock").read_text()), signal.SIGTERM)
    wait_until(lambda: not daemon_runs(node), "it has ended")
