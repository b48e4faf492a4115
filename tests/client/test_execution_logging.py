"""Logging through an execution, without a daemon: what the journal holds afterwards."""

from __future__ import annotations

import gc
import json
import logging
import math
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.daemons import wait_until

import cmfd
from cmfd.client import session as session_module
from cmfd.client import start as start_module
from cmfd.errors import CmfdError
from cmfd.model import Status
from cmfd.wire import journal as form
from cmfd.wire.messages import (
    Environment,
    ExecutionBegin,
    Fact,
    Group,
    Hashed,
    Param,
    Part,
    ProcessBegin,
    ProcessState,
    Record,
    Series,
    Touch,
    decode_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.client.execution import Execution
    from cmfd.config import Settings

Value = tuple[int, float | int]


@pytest.fixture
def ex(node: Path) -> Execution:
    """Start an execution in that process."""
    assert node.parent.is_dir()
    return cmfd.start("pipe", "stage")


def journals(node: Path) -> list[list[form.Block]]:
    return [form.read_journal(path)[1] for path in sorted((node / "journals").iterdir())]


def records(blocks: list[form.Block]) -> list[Record]:
    found: list[Record] = []
    parts = b""
    for block in blocks:
        for payload in form.events(block.data) if block.kind == form.EVENTS else ():
            record = decode_record(payload)
            if isinstance(record, Part):
                parts += record.data
                if record.index + 1 < record.total:
                    continue
                record = decode_record(parts)
            found.append(record)
    return found


def values(blocks: list[form.Block]) -> dict[str, list[Value]]:
    """All metric values of a journal: name -> (step, value), in the order of the blocks."""
    said = records(blocks)
    series = {r.id: r for r in said if isinstance(r, Series)}
    groups = {r.id: r.series for r in said if isinstance(r, Group)}
    found: dict[str, list[Value]] = {}
    for block in blocks:
        if block.kind == form.EVENTS:
            continue
        for slot in (s for first, end in block.ranges() for s in range(first, end)):
            raw = bytes(block.units(slot, slot + 1))
            if block.kind == form.POINTS:
                _, step, value, number, _ = form.POINT.unpack(raw)
                if number and series[number].kind == "int":
                    value = form.INT_POINT.unpack(raw)[2]
                row = [(number, value)] if number else []
            else:
                columns = groups[block.group]
                _, step, *row_values, valid, _ = form.row_struct(len(columns)).unpack(raw)
                row = list(zip(columns, row_values, strict=True)) if valid else []
            for number, value in row:
                found.setdefault(series[number].name, []).append((step, value))
    return found


def logged(node: Path) -> dict[str, list[Value]]:
    (blocks,) = journals(node)
    return values(blocks)


def test_values_are_in_the_file_when_the_call_returns(ex: Execution, node: Path) -> None:
    """With and without steps, singly and together, in the order of the calls."""
    for i in range(3):
        ex.metric("loss", 1.0 / (i + 1), step=i * 10)
        ex.metric("lr", 0.5)
        ex.metrics({"a": float(i), "b": -float(i)}, step=i)

    found = logged(node)

    assert found["loss"] == [(0, 1.0), (10, 0.5), (20, 1.0 / 3)]
    assert found["lr"] == [(0, 0.5), (1, 0.5), (2, 0.5)]
    assert found["a"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert found["b"] == [(0, -0.0), (1, -1.0), (2, -2.0)]


@pytest.mark.parametrize(
    "value",
    [0.1, math.pi, 5e-324, -0.0, math.inf, -math.inf, 1.7976931348623157e308, 1.23e-7,
     0, 1, -1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, True],
)  # fmt: skip
def test_a_number_comes_back_bit_for_bit(ex: Execution, node: Path, value: float) -> None:
    """Integers that a double cannot hold included, by metric() and by metrics()."""
    ex.metric("m", value, step=0)
    ex.metrics({"n": value, "x": 0.0}, step=0)

    found = logged(node)
    for name in ("m", "n"):
        ((_, back),) = found[name]
        assert back == value
        assert struct.pack("<d", float(back)) == struct.pack("<d", float(value))


def test_nan_is_a_value(ex: Execution, node: Path) -> None:
    """A diverged loss is worth knowing."""
    ex.metric("loss", math.nan, step=1)

    ((step, value),) = logged(node)["loss"]
    assert step == 1
    assert math.isnan(value)


class Scalar:
    """A number of another library."""

    def __float__(self) -> float:
        return 2.5


class Hostile:
    """Raises whatever is asked of it."""

    def __float__(self) -> float:
        raise RuntimeError("no")

    __index__ = __float__


def test_numbers_of_other_libraries_are_taken(ex: Execution, node: Path) -> None:
    """NumPy scalars and whatever has a float form, also where floats were logged before."""
    import numpy as np

    for value in (2.5, np.float32(2.5), np.float64(2.5), Scalar()):
        ex.metric("m", value, step=np.int64(1))
        ex.metrics({"a": value, "b": 1.0}, step=np.int32(2))

    found = logged(node)
    assert found["m"] == [(1, 2.5)] * 4
    assert found["a"] == [(2, 2.5)] * 4


BAD_CALLS: list[tuple[str, Any, Any]] = [
    ("m", "text", 0), ("m", None, 0), ("m", 1j, 0), ("m", Hostile(), 0), ("m", 1.0, "one"),
    ("m", 1.0, 1.5), ("m", 1.0, 2**70), ("m", 2**70, 0), ("m", 1.0, Hostile()),
    (cast("str", []), 1.0, 0),
]  # fmt: skip


@pytest.mark.parametrize("call", BAD_CALLS)
def test_a_bad_argument_warns_once_and_the_job_goes_on(
    ex: Execution, node: Path, caplog: pytest.LogCaptureFixture, call: tuple[Any, Any, Any]
) -> None:
    """Before and after good values of the name, by both calls."""
    name, value, step = call
    caplog.set_level(logging.WARNING, "cmfd")
    for i in range(3):
        ex.metric(name, value, step=step)
        ex.metric("m", float(i), step=i)
        if name == "m" and value != 2**70:  # a column of floats takes it, rounded
            ex.metrics({"a": value, "b": 1.0}, step=step)
        ex.metrics({"a": float(i), "b": 1.0}, step=i)

    assert logged(node)["m"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert logged(node)["a"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    said = [r.message for r in caplog.records if "cmfd: metric" in r.message]
    assert 1 <= len(said) <= 2  # one for each of the two calls
    assert all("the job goes on" in text for text in said)


def test_strict_raises_instead(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of one's own program."""
    assert node.parent.is_dir()
    monkeypatch.setenv("CMFD_STRICT", "true")
    execution = cmfd.start("pipe", "stage")

    with pytest.raises(TypeError, match="a metric is a number"):
        execution.metric("m", "text", step=0)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="nonsense"):
        execution.input("x", kind="nonsense")


def test_parameters_keep_their_types(ex: Execution, node: Path) -> None:
    """Nothing is turned to text or rounded."""
    given = {
        "i": 2**63 - 1, "f": 0.1, "nan": math.nan, "b": True, "s": "ü", "n": None,
        "l": [1, 2.5, "x"], "d": {"k": [True, None]}, "big": 2**80,
    }  # fmt: skip
    ex.params(given, kw=1)

    found = {r.key: (r.type, r.value) for r in records(journals(node)[0]) if isinstance(r, Param)}

    assert found["i"] == ("int", 2**63 - 1)
    assert found["f"] == ("float", 0.1)
    assert found["nan"][0] == "float"
    assert math.isnan(found["nan"][1])  # type: ignore[arg-type]  # a float, as just asserted
    assert found["b"] == ("bool", True)
    assert found["s"] == ("str", "ü")
    assert found["n"] == ("null", None)
    assert found["l"] == ("json", '[1,2.5,"x"]')
    assert found["d"] == ("json", '{"k":[true,null]}')
    assert found["big"] == ("json", str(2**80))
    assert found["kw"] == ("int", 1)


def test_an_artifact_gets_its_digest_in_the_background(ex: Execution, node: Path) -> None:
    """The digest that DVC gives, with the path as the user wrote it."""
    Path("data.txt").write_text("hello\n")
    assert ex.input("data.txt", split="train") == "data.txt"
    ex.output("absent.bin", kind="model")
    ex.end()

    said = records(journals(node)[0])
    touches = {r.path: r for r in said if isinstance(r, Touch)}
    hashes = {r.token: r for r in said if isinstance(r, Hashed)}
    hashed = hashes[touches["data.txt"].token]
    assert hashed.digest == "md5:b1946ac92492d2347c6235b4d2611184"
    assert hashed.size_bytes == 6
    assert touches["data.txt"].properties == '{"split":"train"}'
    assert touches["data.txt"].absolute == str(Path("data.txt").absolute())
    assert hashes[touches["absent.bin"].token].problem


def test_how_the_block_ended_is_how_the_process_ended(node: Path) -> None:
    """Exceptions and exit codes."""
    ended: dict[str, tuple[str, int | None]] = {}
    for name, error in {
        "good": None, "bad": ValueError("x"), "exit0": SystemExit(0), "exit3": SystemExit(3),
        "text": SystemExit("no"), "ctrl-c": KeyboardInterrupt(),
    }.items():  # fmt: skip
        execution = cmfd.start("pipe", name)
        try:
            with execution:
                if error is not None:
                    raise error
        except (ValueError, SystemExit, KeyboardInterrupt):
            pass
        said = records(journals(node)[0])
        state = [r for r in said if isinstance(r, ProcessState) and r.execution == execution.id][-1]
        ended[name] = (state.status, state.exit_code)

    assert ended == {
        "good": ("completed", None), "bad": ("failed", None), "exit0": ("completed", 0),
        "exit3": ("failed", 3), "text": ("failed", 1), "ctrl-c": ("cancelled", None),
    }  # fmt: skip


def test_the_environment_is_described(ex: Execution, node: Path) -> None:
    """Once, by rank 0, off the caller's path."""
    ex.session.close()

    (document,) = [r for r in records(journals(node)[0]) if isinstance(r, Environment)]
    assert '"python"' in document.document


@pytest.fixture
def slow_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let git never answer, as on a file system that is away."""
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text('#!/bin/sh\ntouch "$0.asked"; exec sleep 1000\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(session_module, "_DESCRIBE_S", 0.1)
    return git


def test_a_process_that_ends_does_not_wait_for_a_git_that_never_answers(
    node: Path, slow_git: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of its environment is recorded, and its files are hashed meanwhile."""
    monkeypatch.setattr("cmfd.client.environment.PATIENCE_S", math.inf)
    Path("f").touch()
    with cmfd.start("pipe", "stage") as ex:
        ex.input("f")
        wait_until(slow_git.with_suffix(".asked").exists, "git is asked")
    ex.session.close()

    (blocks,) = journals(node)
    (document,) = (json.loads(r.document) for r in records(blocks) if isinstance(r, Environment))
    assert document["code"] == {"problem": "TimeoutError: git takes too long"}
    assert document["python"]["version"]
    assert [r.digest[:4] for r in records(blocks) if isinstance(r, Hashed)] == ["md5:"]


def test_a_process_ends_although_its_environment_cannot_be_read(
    ex: Execution, node: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call into a file system that is away returns to nobody; what was logged is there."""
    go_on = threading.Event()
    monkeypatch.setattr(session_module, "_DESCRIBE_S", 0.0)
    monkeypatch.setattr(session_module, "_OVERTIME_S", 0.0)
    ex.session.describe_later(ex, go_on.wait)
    ex.metric("loss", 1.0)
    ex.session.close()
    go_on.set()

    assert logged(node)["loss"] == [(0, 1.0)]
    (blocks,) = journals(node)
    (document,) = (json.loads(r.document) for r in records(blocks) if isinstance(r, Environment))
    assert "not known in time" in document["code"]["problem"]
    assert not caplog.records, "each process of a large job on a busy cluster might say it"


def test_the_module_logs_to_the_current_execution(node: Path) -> None:
    """cmfd.metric() without any start."""
    cmfd.metric("loss", 0.5)
    cmfd.params(lr=0.1)
    cmfd.metrics({"a": 1.0, "b": 2.0})
    assert cmfd.current() is cmfd.current()

    assert logged(node)["loss"] == [(0, 0.5)]


def test_threads_share_an_execution(ex: Execution, node: Path) -> None:
    """Every value of every thread, names defined concurrently once each."""

    def work(i: int) -> None:
        for step in range(500):
            ex.metric(f"m{step % 7}", float(i), step=step)
            ex.metrics({"a": float(i), "b": float(step)}, step=step)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = logged(node)
    assert sum(len(found[f"m{k}"]) for k in range(7)) == 3_000
    assert len(found["a"]) == len(found["b"]) == 3_000
    names = [r.name for r in records(journals(node)[0]) if isinstance(r, Series)]
    assert len(names) == len(set(names))


def test_a_forked_child_has_a_journal_of_its_own(ex: Execution, node: Path) -> None:
    """The same execution and rank; nothing of the parent's is written twice or disturbed."""
    ex.metric("m", 1.0, step=1)
    pid = os.fork()
    if pid == 0:
        ex.metric("m", 2.0, step=2)
        os._exit(0)
    os.waitpid(pid, 0)
    ex.metric("m", 3.0, step=3)

    found = sorted(values(blocks)["m"] for blocks in journals(node))
    begins = [
        r for blocks in journals(node) for r in records(blocks) if isinstance(r, ProcessBegin)
    ]
    assert found == [[(1, 1.0), (3, 3.0)], [(2, 2.0)]]
    assert sorted(b.role for b in begins) == ["rank", "worker"]
    assert {b.execution for b in begins} == {ex.id}


def _in_worker(i: int) -> int:
    cmfd.metric("w", float(i), step=i)
    return i


def test_multiprocessing_workers_log(ex: Execution, node: Path) -> None:
    """As a data loader's workers would."""
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pool.map(_in_worker, range(30), chunksize=1)
        pool.close()
        pool.join()

    steps = sorted(s for blocks in journals(node) for s, _ in values(blocks).get("w", []))
    assert steps == list(range(30))
    assert not ex.ended


def test_a_full_journal_drops_values_and_says_how_many(
    node: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Values go, parameters stay, the record tells."""
    monkeypatch.setenv("CMFD_JOURNAL_LIMIT_BYTES", str(1 << 20))
    execution = cmfd.start("pipe", "stage")
    for i in range(100_000):
        execution.metric("m", 0.5, step=i)
    execution.param("kept", 1)
    execution.end()

    (blocks,) = journals(node)
    kept = values(blocks)["m"]
    state = [r for r in records(blocks) if isinstance(r, ProcessState)][-1]
    assert kept == [(i, 0.5) for i in range(len(kept))]
    assert state.dropped == 100_000 - len(kept) > 0
    assert any(isinstance(r, Param) for r in records(blocks))
    assert [r.message for r in caplog.records if "limit" in r.message][1:] == []


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """Make a directory that nobody may write to: root is kept out by a read-only mount."""
    directory = tmp_path / "closed"
    directory.mkdir(mode=0o500)
    if os.geteuid() != 0:
        yield directory
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(directory)], check=True)
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.usefixtures("node")
def test_a_read_only_node_directory_does_no_harm(
    closed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program runs as if nothing were logged, and says so."""
    monkeypatch.setenv("CMFD_NODE_DIR", str(closed / "node"))

    use_everything(cmfd.start("pipe", "stage", name="study", params={"lr": 0.1}))

    assert any("node directory" in record.message for record in caplog.records)


def test_a_directory_that_is_cleared_at_the_wrong_moment_is_made_again(
    node: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As it is by the end of another job of the user's on the node."""
    make = session_module._journal_directory
    cleared: list[Path] = []

    def make_and_clear(settings: Settings) -> Path:
        made = make(settings)
        if not cleared:
            cleared.append(made)
            shutil.rmtree(node)
        return made

    monkeypatch.setattr(session_module, "_journal_directory", make_and_clear)
    cmfd.start("pipe", "stage").param("lr", 0.1)

    assert cleared
    assert len(list((node / "journals").glob("*.cmfj"))) == 1
    assert not caplog.records


def test_a_node_directory_that_is_a_file_does_no_harm(
    tmp_path: Path, node: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even for root."""
    assert node.parent.is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CMFD_NODE_DIR", str(tmp_path / "file"))

    use_everything(cmfd.start("pipe", "stage"))

    assert caplog.records


def test_a_bad_setting_does_no_harm(
    node: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A typo in a variable must not stop a job, nor undo the other settings."""
    assert node.parent.is_dir()
    monkeypatch.setenv("CMFD_JOURNAL_LIMIT_BYTES", "lots")

    use_everything(cmfd.start("pipe", "stage"))

    assert any("CMFD_JOURNAL_LIMIT_BYTES" in record.message for record in caplog.records)
    assert len(journals(node)) == 1


def use_everything(execution: Execution) -> None:
    """Call every method; none may raise."""
    execution.metric("m", 1.0)
    execution.metrics({"a": 1.0, "b": 2.0})
    execution.metric_reduced("r", 1.0)
    execution.param("p", 1)
    execution.params(q=2)
    execution.tag("t")
    execution.fact("f", 1, subject=execution.run)
    execution.describe("{}")
    execution.input("nowhere")
    execution.output("nowhere")
    execution.model("nowhere")
    execution.flush(0.1)
    execution.end()


def test_a_program_that_dies_of_an_exception_has_failed(node: Path) -> None:
    """Without a with block, at the interpreter's end."""
    code = "import cmfd\ncmfd.metric('m', 1.0)\nraise ValueError('x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    states = [r for r in records(journals(node)[0]) if isinstance(r, ProcessState)]
    assert done.returncode == 1
    assert states[-1].status == "failed"


def test_closed_sessions_refuse_politely(ex: Execution) -> None:
    """An object kept past its session warns and does nothing."""
    ex.metric("m", 1.0)
    session_module.session().close()

    ex.param("late", 1)
    with pytest.raises(CmfdError, match="closed"):
        ex.append(Param(at_ns=0, execution=ex.id, key="x", type="int", value=1))


def test_an_unusable_inherited_run_does_no_harm(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's variable of the same name."""
    monkeypatch.setenv("CMFD_RUN", "not an id")
    monkeypatch.setenv("CMFD_EXECUTION", "neither")

    use_everything(cmfd.start("pipe", "stage"))

    assert logged(node)["m"] == [(0, 1.0)]


def test_a_working_directory_that_is_gone_does_no_harm(
    node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scratch directories are cleaned under running jobs."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    use_everything(cmfd.start())

    assert logged(node)["m"] == [(0, 1.0)]


def test_secrets_on_the_command_line_are_not_recorded(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal is shown to others one day."""
    monkeypatch.setattr(sys, "argv", ["train.py", "--api-token", "hunter2hunter2", "--lr=1"])
    cmfd.start().end()

    (path,) = (node / "journals").iterdir()
    assert b"hunter2" not in path.read_bytes()
    assert b"--lr=1" in path.read_bytes()


def test_a_program_started_by_another_belongs_to_its_execution(node: Path) -> None:
    """By default; with a stage of its own it is nested, as spawned workers and drivers are."""
    outer = cmfd.start("pipe", "driver")
    for code in ("cmfd.start()", "cmfd.start(stage='part')"):
        subprocess.run([sys.executable, "-c", f"import cmfd\n{code}.end()"], check=True)
    second = cmfd.start("pipe", "next")

    said = [r for blocks in journals(node) for r in records(blocks)]
    begins = {r.execution: r for r in said if isinstance(r, ExecutionBegin)}
    assert {r.run for r in begins.values()} == {outer.run}
    assert len(begins) == 3
    (nested,) = [r for r in begins.values() if r.stage == "part"]
    assert nested.parent == outer.id
    assert begins[second.id].parent is None
    processes = [r for r in said if isinstance(r, ProcessBegin) and r.execution == outer.id]
    assert len(processes) == 2


def _in_spawned(i: int) -> int:
    cmfd.metric("w", float(i), step=i)
    return i


@pytest.mark.slow
def test_spawned_workers_log_to_the_execution_of_their_parent(ex: Execution, node: Path) -> None:
    """Whatever the start method is."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_in_spawned, range(6), chunksize=1)
        pool.close()
        pool.join()

    steps = sorted(s for blocks in journals(node) for s, _ in values(blocks).get("w", []))
    begins = {
        r.execution for b in journals(node) for r in records(b) if isinstance(r, ProcessBegin)
    }
    assert steps == list(range(6))
    assert begins == {ex.id}


class Mute:
    """Somebody's class, with a defect."""

    def __str__(self) -> str:
        raise ValueError("not printable")


@pytest.mark.parametrize("argv", [None, [], [7, Path("x")]])
def test_a_program_without_a_usable_command_line_is_started_all_the_same(
    node: Path, monkeypatch: pytest.MonkeyPatch, argv: list[object] | None
) -> None:
    """One that embeds Python may have set none, or anything."""
    if argv is None:
        monkeypatch.delattr(sys, "argv")
    else:
        monkeypatch.setattr(sys, "argv", argv)

    with cmfd.start() as ex:
        ex.metric("loss", 1.0)

    assert logged(node)["loss"] == [(0, 1.0)]


@pytest.mark.parametrize(
    "arguments",
    [{"pipeline": "a\ud800"}, {"stage": "a\0b"}, {"pipeline": 3},
     {"site": 5}, {"site": "a\0b"}, {"comm": 5}, {"name": "\ud800"}, {"name": 7},
     {"params": [1]}, {"name": Mute()}, {"pipeline": Mute()}],
)  # fmt: skip
def test_no_argument_of_start_stops_the_job(node: Path, arguments: dict[str, Any]) -> None:
    """Names that are no UTF-8, or no text at all, and things that are no communicator."""
    ex = cmfd.start(**arguments)
    ex.metric("loss", 1.0)

    assert logged(node)["loss"] == [(0, 1.0)]


def test_a_job_runs_in_a_directory_whose_name_is_no_utf8(
    node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither it nor its files' names can be text as they are: their other bytes are escaped."""
    directory = os.fsdecode(os.fsencode(tmp_path) + b"/m\xfcll")
    Path(directory).mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setattr(sys, "argv", ["x.py", "\udce4"])
    name = os.fsdecode(b"\xe4.npy")
    Path(name).touch()

    ex = cmfd.start()
    assert ex.input(name) == name
    ex.param("file", name)
    ex.end()

    (blocks,) = journals(node)
    said = records(blocks)
    assert ex.pipeline == "m\\udcfcll"
    assert [r.path for r in said if isinstance(r, Touch)] == ["\\udce4.npy"]
    assert [r.value for r in said if isinstance(r, Param)] == ["\\udce4.npy"]
    assert [r.digest[:4] for r in said if isinstance(r, Hashed)] == ["md5:"]


class Text(str):
    """Text of another library, as NumPy has it."""

    __slots__ = ()


def test_texts_of_other_kinds_are_texts(ex: Execution, node: Path) -> None:
    """As names, keys and paths; a path may be bytes."""
    Path("f").touch()
    ex.metric(Text("loss"), 1.0)
    ex.metrics({Text("a"): 1.0, "b\ud800": 2.0})
    ex.param(Text("key"), Text("value"))
    ex.tag(cast("str", 5), Text("x"))
    ex.input(cast("str", b"f"))

    (blocks,) = journals(node)
    said = records(blocks)
    assert values(blocks) == {"loss": [(0, 1.0)], "a": [(0, 1.0)], "b\\ud800": [(0, 2.0)]}
    assert [(r.key, r.value) for r in said if isinstance(r, Param)] == [("key", "value")]
    assert [(r.key, r.value) for r in said if isinstance(r, Fact)] == [("5", "x")]
    assert [r.path for r in said if isinstance(r, Touch)] == ["f"]


def test_no_argument_of_another_call_stops_the_job(ex: Execution) -> None:
    """What is no path is handed back: opening it says what is wrong."""
    ex.params(cast("dict[str, Any]", [1]))
    assert ex.flush(cast("float", "soon")) is False
    given = cast("str", None)
    assert ex.output(given) is given


def test_values_that_are_good_are_kept_beside_ones_that_are_not(
    ex: Execution, node: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A name that is no text would leave values of nothing in the journal."""
    ex.metrics(cast("dict[str, float]", {"a": 1.0, 2: 2.0, "b": "three"}))
    ex.metrics(cast("dict[str, float]", {1: 1.0}))

    assert logged(node) == {"a": [(0, 1.0)]}
    assert len(caplog.records) == 1


@pytest.mark.slow
def test_a_row_too_long_for_a_block_is_logged_singly(ex: Execution, node: Path) -> None:
    """At one step, which is counted as for other sets of names."""
    many = {f"m{i}": float(i) for i in range(40_000)}
    ex.metrics(many)
    ex.metrics(many)

    found = logged(node)
    assert len(found) == len(many)
    assert found["m39999"] == [(0, 39_999.0), (1, 39_999.0)]
    (journal,) = (node / "journals").iterdir()
    assert journal.stat().st_size < 64 << 20


def test_ever_new_sets_of_names_do_not_fill_the_journal(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a block of its own only while there are few."""
    monkeypatch.setenv("CMFD_JOURNAL_LIMIT_BYTES", str(4 << 20))
    ex = cmfd.start()
    for i in range(200):
        ex.metrics({"same": float(i), f"m{i}": 1.0}, step=i)

    assert logged(node)["same"] == [(i, float(i)) for i in range(200)]


class Picky:
    """A number that raises what the hot path itself does when there is more to do."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __float__(self) -> float:
        raise self.error

    __index__ = __float__


@pytest.mark.parametrize("error", [KeyError, StopIteration, RuntimeError, KeyboardInterrupt])
def test_a_value_that_raises_leaves_no_hole(ex: Execution, error: type[BaseException]) -> None:
    """Its slot stands for nothing; left empty, what follows would wait for it."""
    ex.metric("m", 1.0)
    ex.metrics({"a": 1.0})
    with suppress(KeyboardInterrupt):
        ex.metric("m", 1.0, step=cast("int", Picky(error)))
    with suppress(KeyboardInterrupt):
        ex.metrics({"a": Picky(error)})

    blocks = ex.session.journal._blocks.values()
    assert all(block.complete([]) == [(0, block.reserved)] for block in blocks)


class Ranks:
    """Both ends of a communicator of two, seen from rank 1."""

    def __init__(self) -> None:
        self.sent: list[float] = []

    @staticmethod
    def Get_rank() -> int:  # noqa: N802 - mpi4py's name
        return 1

    @staticmethod
    def Get_size() -> int:  # noqa: N802 - as above
        return 2

    @staticmethod
    def bcast(_plan: object, root: int) -> object:
        assert root == 0
        return start_module._some_plan("p", "s", None)

    def gather(self, number: float, root: int) -> None:
        assert root == 0
        self.sent.append(number)


def test_a_rank_without_a_number_keeps_no_other_waiting(node: Path) -> None:
    """It takes part with NaN: whoever gathers would wait for ever."""
    assert node.parent.is_dir()
    ranks = Ranks()
    ex = cmfd.start(comm=ranks)
    ex.metric_reduced("m", cast("float", None))

    assert len(ranks.sent) == 1
    assert math.isnan(ranks.sent[0])


def test_a_job_without_a_journal_does_not_grow(node: Path) -> None:
    """The error that each call meets is one object; its traceback must not grow with each."""
    node.write_text("no directory")
    ex = cmfd.start()
    for i in range(100):
        ex.metric("m", 1.0, step=i)

    failure = ex.session._failure
    assert failure is not None
    assert len(traceback.extract_tb(failure.__traceback__)) < 50
    assert ex.flush() is False


def test_content_that_is_gone_before_it_is_read_is_not_taken_for_what_came_after(
    ex: Execution, node: Path
) -> None:
    """A checkpoint written again at each epoch, say: the first touch was not of the last one."""
    go_on = threading.Event()
    ex.session.hashing.submit(go_on.wait)
    path = Path("model.pt")
    for content in ("first", "second one"):
        path.write_text(content)
        ex.model(path)
    go_on.set()
    ex.end()

    (blocks,) = journals(node)
    first, second = (r for r in records(blocks) if isinstance(r, Hashed))
    assert (first.digest, first.size_bytes) == ("", -1)
    assert "changed" in first.problem
    assert (second.digest[:4], second.size_bytes, second.problem) == ("md5:", 10, "")


def test_an_execution_that_nobody_ended_ends_with_the_process(node: Path) -> None:
    """Even if the program has let go of it long ago."""
    first = cmfd.start().id
    start_module._current = None
    gc.collect()
    assert session_module._session is not None
    session_module._session.close()

    (blocks,) = journals(node)
    states = [r for r in records(blocks) if isinstance(r, ProcessState)]
    assert [(r.execution, r.status) for r in states] == [(first, "completed")]


def test_the_last_word_stays_the_last_when_the_clock_is_set_back(
    ex: Execution, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a tag or of how a process stands, the one with the latest time is kept."""
    ex.tag("state", "old")
    ex.session.report(ex, Status.RUNNING)
    monkeypatch.setattr("time.time_ns", lambda: 1_000)
    ex.tag("state", "new")
    ex.end()

    (blocks,) = journals(node)
    said = records(blocks)
    tags = [r for r in said if isinstance(r, Fact)]
    states = [r for r in said if isinstance(r, ProcessState)]
    assert max(tags, key=lambda r: r.at_ns).value == "new"
    assert max(states, key=lambda r: r.at_ns).status == "completed"


def test_a_process_that_gets_no_more_threads_logs_all_the_same(
    node: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A limit of processes counts threads too; the journal is read when it has ended."""

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    Path("f").touch()
    monkeypatch.setattr(threading.Thread, "start", start)
    with cmfd.start() as ex:
        ex.metric("loss", 1.0)
        ex.input("f")
        assert not ex.flush(0.0)
    assert session_module._session is not None
    session_module._close(session_module._session)

    (blocks,) = journals(node)
    assert values(blocks) == {"loss": [(0, 1.0)]}
    assert [r.path for r in records(blocks) if isinstance(r, Touch)] == ["f"]
    assert 0 < len(caplog.records) < 5


class Colour(str, Enum):
    """Text that has a name."""

    RED = "red"


def test_json_of_any_keys_is_kept(ex: Execution, node: Path) -> None:
    """Keys that JSON has no form for become their text."""
    ex.param("grid", {(1, 2): [{None: 1, Path("a"): 2}]})
    ex.param("colour", Colour.RED)

    (blocks,) = journals(node)
    grid, colour = (r.value for r in records(blocks) if isinstance(r, Param))
    assert grid == '{"(1, 2)":[{"None":1,"a":2}]}'
    assert colour == "red"
