"""What SLURM's variables say of a job is recorded whatever else takes long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import cmfd
from cmfd.client import session as session_module
from cmfd.client import start as start_module
from cmfd.wire import journal as form
from cmfd.wire.messages import Fact, decode_record

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_daemon_that_takes_long_to_start_costs_no_facts_of_the_job(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a node where hundreds of ranks start at once: the process ends before it is there."""
    go_on = threading.Event()
    monkeypatch.setattr(start_module, "ensure_daemon", lambda _: go_on.wait())
    monkeypatch.setattr(session_module, "_DESCRIBE_S", 0.2)
    monkeypatch.setattr(session_module, "_OVERTIME_S", 0.0)
    monkeypatch.setenv("CMFD_AUTOSTART", "true")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_JOB_PARTITION", "debug")
    with cmfd.start("pipe", "stage") as ex:
        pass
    ex.session.close()
    go_on.set()

    (path,) = (node / "journals").iterdir()
    blocks = [block for block in form.read_journal(path)[1] if block.kind == form.EVENTS]
    records = [decode_record(event) for block in blocks for event in form.events(block.data)]
    facts = {record.key: record.value for record in records if isinstance(record, Fact)}
    assert facts["slurm.partition"] == "debug"
