"""The processes that read packs from elsewhere: what they may do, and whom they keep waiting."""

from __future__ import annotations

import ctypes
import http.client
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.hostile import offered
from support.packs import small_run, write_pack

from cmfd.errors import PackError, StoreError
from cmfd.merge import inspect, inspected, reader
from cmfd.merge.batch import merge_site
from cmfd.store.pack import content_of, sha256_of

if TYPE_CHECKING:
    from support.exchange import MakeSite


@pytest.fixture(params=[True, False], ids=["copy", "program"])
def kind_of_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have packs read by a copy of this process, or by a program of its own."""
    monkeypatch.setattr(reader, "_may_fork", lambda: request.param)
    # A copy of these tests has mapped more than it may have, and is given what a command has.
    monkeypatch.setattr(inspected, "MEMORY_BYTES", inspected.MEMORY_BYTES << request.param * 6)


def test_what_takes_too_long_ends_its_reader_alone(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is another process; the next pack gets another."""
    site = make_site("site")
    packs = [write_pack(tmp_path / "packs", small_run(number)) for number in (1, 2)]
    monkeypatch.setattr(inspect, "_WALL_S", -10_000)
    with pytest.raises(PackError, match="more memory or time"):
        offered(site, packs[0])
    monkeypatch.undo()
    offered(site, packs[1])
    assert merge_site(site.path).absorbed == 1


def test_what_earlier_packs_left_in_a_readers_memory_is_nobodys_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is too little for a pack, a process that read nothing before decides."""
    packs = [write_pack(tmp_path / "packs", small_run(number)) for number in (1, 2)]
    with closing(inspect.Inspector()) as inspector:
        inspector.inspect(packs[0], packs[0].stem)
        (full,) = inspector.pids
        ask = reader.Reader.ask

        def asked(one: reader.Reader, question: bytes, until_s: float) -> bytes:
            if one.pid == full:
                return msgspec.json.encode(inspected.Told(reason=inspected.TOO_MUCH_MEMORY))
            return ask(one, question, until_s)

        monkeypatch.setattr(reader.Reader, "ask", asked)
        inspector.inspect(packs[1], packs[1].stem)
        assert full not in inspector.pids


def test_a_reader_that_does_not_run_is_nobodys_fault(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pack is not refused for it: it comes with the next exchange."""
    site = make_site("site")
    pack = write_pack(tmp_path / "packs", small_run(1))
    inspect.shared.close()
    monkeypatch.setattr(reader, "_may_fork", lambda: False)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(StoreError, match="does not run"):
        offered(site, pack)
    assert not site.quarantine.exists()
    monkeypatch.undo()
    offered(site, pack)
    assert merge_site(site.path).absorbed == 1


def test_a_reader_can_write_start_and_reach_nothing(tmp_path: Path) -> None:
    """What takes it over has gained a process that reads, where the kernel can see to that."""
    program = f"""
import os, socket
from cmfd.merge.confine import confine
os.mkdir({str(tmp_path / "scratch")!r})
confine({str(tmp_path / "scratch")!r})
open({str(tmp_path / "scratch" / "index")!r}, "w").close()
def refused(what):
    try:
        what()
    except PermissionError:
        return True
    except OSError as error:
        return error
print([refused(what) for what in (
    lambda: open({str(tmp_path / "more")!r}, "w"),
    lambda: os.unlink({str(tmp_path / "there")!r}),
    lambda: os.execv("/bin/true", ["true"]),
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: os.kill(os.getppid(), 0),
)])
"""
    (tmp_path / "there").touch()
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    if not has_landlock():
        pytest.skip("this kernel has no Landlock of version 6")
    assert done.stdout == f"{[True] * 5}\n"


@pytest.mark.usefixtures("kind_of_reader")
def test_a_reader_reads_what_it_is_there_for_and_no_file_else(tmp_path: Path) -> None:
    """Packs of the first one's directory; what takes it over gets at nothing that is a user's."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    packs = [write_pack(here, small_run(number)) for number in (1, 2)]
    foreign = write_pack(elsewhere, small_run(3))
    with closing(inspect.Inspector()) as inspector:
        for pack in packs:
            inspector.inspect(pack, pack.stem)
        (first,) = inspector._idle
        asked = inspected.Asked(str(foreign), foreign.stem, str(elsewhere), "")
        answer = first.ask(msgspec.json.encode(asked), time.monotonic() + 60)
        if not has_landlock():
            pytest.skip("this kernel has no Landlock of version 6")
        assert "Permission denied" in msgspec.json.decode(answer, type=inspected.Told).reason
        inspector.inspect(foreign, foreign.stem)  # by another one
        assert len(inspector.pids) == 2


in_memory = pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "deserialize"), reason="this SQLite opens files only"
)


@in_memory
@pytest.mark.usefixtures("kind_of_reader")
def test_a_reader_reads_a_pack_once(tmp_path: Path) -> None:
    """What it hashes, looks at and tries; a site on a slow disk is not gone over again."""
    packs = [write_pack(tmp_path, small_run(number)) for number in (1, 2)]
    with closing(inspect.Inspector()) as inspector:
        inspector.inspect(packs[0], packs[0].stem)  # and what Python has yet to import
        (pid,) = inspector.pids
        before = read_bytes(pid)
        inspector.inspect(packs[1], packs[1].stem)
        n_read = read_bytes(pid) - before
    assert 0 <= n_read - packs[1].stat().st_size < 4096  # the question, besides


def read_bytes(pid: int) -> int:
    """Return how many bytes a process has read so far."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


@in_memory
def test_what_is_tried_is_what_was_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others may write to the file, too, no good one is looked at in a bad one's place."""
    good, bad = (write_pack(tmp_path, small_run(number)) for number in (1, 2))
    with closing(sqlite3.connect(bad, isolation_level=None)) as db:
        db.execute("CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM run; END")
    contents = {path: (path.read_bytes(), sha256_of(path)) for path in (good, bad)}

    def exchanged(path: Path) -> bytes | None:
        content = content_of(path)
        path.write_bytes(contents[good if path == bad else bad][0])
        return content

    monkeypatch.setattr(inspected, "content_of", exchanged)
    inspected._inspect(good, inspected.Asked(str(good), contents[good][1], str(tmp_path), ""))
    with pytest.raises(PackError, match="schema"):
        inspected._inspect(bad, inspected.Asked(str(bad), contents[bad][1], str(tmp_path), ""))


def test_a_reader_makes_no_socket() -> None:
    """Neither for a network, with TCP or without, nor for this machine; nor starts it a program."""
    program = """
import os, socket
from cmfd.merge.confine import confine
confine()
def refused(what, *arguments):
    try:
        what(*arguments)
    except PermissionError:
        return True
print([
    *(refused(socket.socket, *kind) for kind in (
        (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_STREAM),
        (socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_NETLINK, socket.SOCK_RAW),
    )),
    refused(socket.socketpair),
    refused(os.execv, "/bin/true", ["true"]),
], "Seccomp:\\t2" in open("/proc/self/status").read())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    if done.stdout.endswith("False\n"):
        pytest.skip("this kernel filters no system calls, or not on such a machine")
    assert done.stdout == f"{[True] * 6} True\n"


def has_landlock() -> bool:
    return bool(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 6)


def test_who_hands_over_what_takes_long_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of his packs are read one after the other; another's is read meanwhile."""
    packs = [write_pack(tmp_path / "packs", small_run(number)) for number in (1, 2)]
    slow, may_end, asked = packs[0].stem.encode(), threading.Event(), []
    ask = reader.Reader.ask

    def held(one: reader.Reader, question: bytes, until_s: float) -> bytes:
        asked.append(question)
        if slow in question:
            may_end.wait()
        return ask(one, question, until_s)

    monkeypatch.setattr(reader.Reader, "ask", held)
    with closing(inspect.Inspector()) as inspector, ThreadPoolExecutor(2) as threads:
        his = [
            threads.submit(inspector.inspect, packs[0], packs[0].stem, who="token:eve")
            for _ in range(2)
        ]
        inspector.inspect(packs[1], packs[1].stem, who="token:ana")
        assert sum(slow in one for one in asked) <= 1
        may_end.set()
        for one in his:
            one.result()


def test_a_pack_too_large_for_memory_is_tried_in_a_file_and_refused_if_it_fills_that(
    make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait in the inbox for ever, and be tried by each merge."""
    monkeypatch.setattr(inspect, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(reader, "_may_fork", lambda: True)
    monkeypatch.setattr(inspected, "MEMORY_BYTES", inspected.MEMORY_BYTES << 6)
    site = make_site("site")
    packs = [write_pack(tmp_path / "packs", small_run(number)) for number in (1, 2)]
    offered(site, packs[0])
    monkeypatch.setattr(inspected, "_FILE_BYTES", 4096 - 4 * packs[1].stat().st_size)
    with pytest.raises(PackError, match=r"too much.*kept apart"):
        offered(site, packs[1])
    assert (site.quarantine / packs[1].name).exists()
    assert merge_site(site.path).absorbed == 1


@pytest.mark.usefixtures("kind_of_reader")
def test_who_reads_packs_has_little_memory_time_and_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So says the kernel of the process."""
    monkeypatch.setenv("CMFD_TOKEN", "cmfd_secret")
    pack = write_pack(tmp_path / "packs", small_run(1))
    with closing(inspect.Inspector()) as inspector, (tmp_path / "open").open("w"):
        inspector.inspect(pack, pack.stem)
        (pid,) = inspector.pids
        limits = Path(f"/proc/{pid}/limits").read_text()
        status = Path(f"/proc/{pid}/status").read_text()
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        files = {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}
    assert "NoNewPrivs:\t1" in status
    assert b"secret" not in environment
    assert not [one for one in files if one.startswith(str(tmp_path))]
    soft = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()[1:]}
    assert soft["Max processes"] == "0"
    assert soft["Max address space"] == str(inspected.MEMORY_BYTES)
    assert soft["Max core file size"] == "0"
    assert int(soft["Max cpu time"]) < 2 * inspected.cpu_s(pack.stat().st_size)
    assert int(soft["Max file size"]) < 1 << 27


READS = """
import os, sys
from contextlib import closing
from pathlib import Path
from cmfd.merge import inspect, reader
assert reader._may_fork()
with closing(inspect.Inspector()) as inspector:
    pack = Path(sys.argv[1])
    inspector.inspect(pack, pack.stem)
    print(*inspector.pids, flush=True)
    sys.stdin.read()
"""


def test_a_copy_that_reads_packs_has_nothing_of_the_environment(tmp_path: Path) -> None:
    """Tokens and passwords that a user's shell has are nowhere in its memory."""
    pack = write_pack(tmp_path, small_run(1))
    secret = "something that nobody else says"
    with subprocess.Popen(
        [sys.executable, "-c", READS, str(pack)], env={**os.environ, "CMFD_TOKEN": secret},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        (pid,) = map(int, process.stdout.readline().split())
        assert secret.encode() in memory_of(process.pid)
        assert secret.encode() not in memory_of(pid)
        process.communicate("")


def memory_of(pid: int) -> bytes:
    """Return all that a process has in its memory."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            where, rights = line.split()[:2]
            if rights.startswith("r") and "[v" not in line:  # not the kernel's own
                begin, end = (int(one, 16) for one in where.split("-"))
                memory.seek(begin)
                found.append(memory.read(end - begin))
    return b"".join(found)


def test_who_has_spoken_with_a_server_has_packs_read_by_a_program_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the memory of a copy there would be the token."""
    monkeypatch.setitem(sys.modules, "http.client", http.client)
    started: list[str] = []
    monkeypatch.setattr(reader, "started", started.append)
    reader.new_reader("")
    assert started == [""]
