"""Threads that begin, log and end at once, as a program's may."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import cmfd
from cmfd import config, identity
from cmfd.wire import journal as form
from cmfd.wire.messages import ExecutionBegin, ProcessState, Series, decode_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.wire.messages import Record


def said(node: Path) -> list[Record]:
    """Return the records of the one journal."""
    (path,) = (node / "journals").glob("*.cmfj")
    blocks = [block for block in form.read_journal(path)[1] if block.kind == form.EVENTS]
    return [decode_record(payload) for block in blocks for payload in form.events(block.data)]


@pytest.fixture
def meeting(node: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have two threads in the middle of what begins an execution, where they can both be."""

    def met(function: Callable[..., Any]) -> Callable[..., Any]:
        both = threading.Barrier(2)

        def called(*arguments: Any) -> Any:
            with suppress(threading.BrokenBarrierError):
                both.wait(0.2)
            return function(*arguments)

        return called

    monkeypatch.delenv("CMFD_RUN")
    monkeypatch.setattr(config, "load_usable", met(config.load_usable))
    monkeypatch.setattr(identity, "new_run", met(identity.new_run))
    monkeypatch.setattr(config, "find_site", met(config.find_site))
    return node


def in_two_threads(function: Callable[[], object]) -> None:
    threads = [threading.Thread(target=function) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_that_log_first_at_once_log_to_one_execution(meeting: Path) -> None:
    """One journal, one execution, one series; the process's CPU time is told once."""
    in_two_threads(lambda: cmfd.metric("loss", 1.0))
    records = said(meeting)
    assert len({record.execution for record in records if isinstance(record, ExecutionBegin)}) == 1
    assert [record.name for record in records if isinstance(record, Series)] == ["loss"]


def test_executions_that_threads_start_at_once_are_two_of_one_run(meeting: Path) -> None:
    """Each with its own values, as if one had been started after the other."""

    def work() -> None:
        with cmfd.start("pipe", "stage") as ex:
            ex.metric("loss", 1.0)

    in_two_threads(work)
    records = said(meeting)
    begun = [record for record in records if isinstance(record, ExecutionBegin)]
    ended = {record.execution for record in records if isinstance(record, ProcessState)}
    assert len({record.run for record in begun}) == 1
    assert len({record.execution for record in begun}) == 2
    assert ended == {record.execution for record in begun}


def test_a_reading_taken_while_an_execution_ends_does_not_make_it_run_again(node: Path) -> None:
    """Readings are a thread's: what it goes through may have ended by then."""
    ex = cmfd.start("pipe", "stage")
    ex.end()
    ex.session.running.add(ex)  # as that thread has it
    ex.session._read_s = -math.inf
    ex.session._tick()
    states = [record for record in said(node) if isinstance(record, ProcessState)]
    assert [state.status for state in states] == ["completed"]
