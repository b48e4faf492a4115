"""Executions as W3C PROV, read again by its library."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import pytest
from prov.model import PROV, ProvActivity, ProvDocument, ProvEntity, ProvRecord, ProvUsage
from support.packs import an_id
from support.sites import ASite, a_run, set_param

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Cmfd = Callable[..., Any]

DATA = "md5:" + "d" * 32


@pytest.fixture
def cmfd(cmfd: Cmfd, tmp_path: Path) -> Cmfd:
    """Return what runs a command at a site of two runs, the second of which reads something."""
    contents = [a_run(1), a_run(2)]
    set_param(contents[0], 1, "learning rate/初", "float", 0.1)
    set_param(contents[0], 1, "bound", "float", math.inf)
    set_param(contents[0], 1, "layers", "json", "[1,2]")
    contents[1]["artifact"].append((DATA, "", 10, 1))
    contents[1]["event"].append(
        (
            an_id("exec", 2),
            "input",
            DATA,
            "da ta.csv",
            5,
            an_id("proc", 2000),
            "dataset",
            "n",
            "/d",
            0,
            "",
            "",
        )
    )
    ASite(tmp_path / "site").take(*contents)
    return cmfd


def local(record: ProvRecord) -> str:
    """Return the local part of a record's name."""
    assert record.identifier is not None
    return record.identifier.localpart


def test_its_library_reads_what_was_written(cmfd: Cmfd, tmp_path: Path) -> None:
    """Activities with times and parameters, entities, users; said once each."""
    out = tmp_path / "prov.json"
    cmfd("export", "prov", "-o", str(out))
    found = ProvDocument.deserialize(io.StringIO(out.read_text()), format="json")
    activities = {local(one): one for one in found.get_records(ProvActivity)}
    assert set(activities) == {f"execution.{an_id('exec', n).hex()}" for n in (1, 2)}
    first = activities[f"execution.{an_id('exec', 1).hex()}"]
    said = {name.localpart: value for name, value in first.attributes}
    assert said["param.learning%20rate%2F%E5%88%9D"] == 0.1
    assert said["param.bound"] == math.inf
    assert str(said["param.layers"]) == "[1, 2]"
    assert said["startTime"].utcoffset().total_seconds() == 0
    entities = {local(one) for one in found.get_records(ProvEntity)}
    assert f"artifact.{DATA.replace(':', '.')}" in entities
    [agent] = [one for one in found.get_records() if one.get_type() == PROV["Agent"]]
    assert agent.get_asserted_types() == {PROV["Person"]}
    [used] = found.get_records(ProvUsage)
    assert used.args[0].localpart == f"execution.{an_id('exec', 2).hex()}"


def test_it_is_read_by_people(cmfd: Cmfd) -> None:
    """And restricted by a filter."""
    text = cmfd("export", "prov", "--format", "provn", "--where", "bound > 1")
    assert text.startswith("document\n")
    assert text.count("activity(") == 1
    assert DATA.replace(":", ".") not in text
