"""What cmfd gave out and comes back, and what packs from elsewhere say of stores that is none."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.mergers import digest_of
from support.sites import ASite, a_run, set_param

from cmfd.formats.cmf import document
from cmfd.formats.mlmd.gather import gather
from cmfd.formats.mlmd.ingest import ingest
from cmfd.identity import uuid7
from cmfd.merge.additions import add_rows
from cmfd.merge.batch import merge_site
from cmfd.query.index import open_index
from cmfd.query.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    Cmfd = Callable[..., Any]


def exported(site: Path) -> dict[str, Any]:
    """Return all that a site gives out."""
    with open_index(site) as db:
        return document.write(gather(db))


def imported(site: Path, said: object) -> list[str]:
    """Take a document in; return what became of its executions."""
    return [one.state for one in ingest(site, document.read(json.dumps(said), "a file"))]


def recorded(site: Path) -> list[Any]:
    """Return all that a site says of its runs."""
    with Site(site) as opened:
        return sorted((opened.run(one.run) for one in opened.runs()), key=lambda one: one.run.run)


def with_real_ids(content: dict[str, Any]) -> dict[str, Any]:
    """Give a run and its execution ids as cmfd makes them."""
    made = {content[kind][0][0]: uuid7() for kind in ("run", "execution")}
    return {
        table: [
            tuple(made.get(one, one) if isinstance(one, bytes) else one for one in row)
            for row in rows
        ]
        for table, rows in content.items()
    }  # fmt: skip


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site is that recorded two runs, and two others that took in what it gave."""
    root = tmp_path_factory.mktemp("sites")
    contents = [with_real_ids(a_run(number, loss=[1.0 * number])) for number in (1, 2)]
    here = ASite(root / "here").take(*contents)
    said = exported(here.path)
    assert imported(root / "there", said) == ["new", "new"]
    earlier = json.loads(json.dumps(said).replace("loss", "gain"))
    assert imported(root / "then", earlier) == ["new", "new"]
    return root


@pytest.mark.slow
@settings(max_examples=examples(8), deadline=None)
@given(order=st.permutations(range(4)), n_together=st.integers(1, 4))
def test_a_copy_never_stands_beside_what_was_recorded(
    sites: Path, order: list[int], n_together: int
) -> None:
    """Whichever comes first, alone or with others: the site is as without any copy."""
    packs = sorted(sites.glob("*/packs/*/*.db"))
    assert len(packs) == 4
    chosen = [packs[number] for number in order]
    with tempfile.TemporaryDirectory() as scratch:
        site = Path(scratch, "all")
        for first in range(0, 4, n_together):
            merge_site(site, chosen[first : first + n_together])
        assert digest_of(site) == digest_of(sites / "here")
        assert recorded(site) == recorded(sites / "here")
        assert imported(site, exported(sites / "here")) == ["own", "own"]
        assert digest_of(site) == digest_of(sites / "here")


@pytest.mark.slow
def test_a_copy_is_known_as_any_execution(sites: Path, tmp_path: Path) -> None:
    """Where only the copy is: parameters, metrics and artifacts; it goes out as it came in."""
    here, there = (recorded(sites / name) for name in ("here", "there"))
    for said in (
        lambda run: {one.key for one in run.params},
        lambda run: {one.digest for one in run.artifacts if one.digest.startswith("md5:")},
        lambda run: {one.name for one in run.metrics},
        lambda run: {one.stage for one in run.executions},
    ):
        assert sorted(map(sorted, map(said, here))) == sorted(map(sorted, map(said, there)))
    copied = exported(sites / "there")
    assert copied == exported(sites / "here")
    assert imported(tmp_path, copied) == ["new", "new"]
    assert digest_of(tmp_path) == digest_of(sites / "there")


def in_pipeline(number: int, pipeline: str, digest: str, **said: str) -> dict[str, Any]:
    """Return a run of a pipeline, with what it says of what it writes."""
    content = a_run(number)
    (execution,), (event,) = content["execution"], content["event"]
    content["execution"] = [(*execution[:5], pipeline, *execution[6:])]
    content["event"] = [(*event[:2], digest, *event[3:10], json.dumps(said), "")]
    content["artifact"] = [(digest, "", 10, 1)]
    return content


def test_content_is_the_same_in_each_pipeline_that_is_exported(tmp_path: Path) -> None:
    """It has the places and properties of all, the last word on each, and the name of the first."""
    digest = f"md5:{'ab' * 16}"
    site = ASite(tmp_path / "site").take(
        in_pipeline(1, "first", digest, owner="ada", kind="raw"),
        in_pipeline(2, "second", digest, kind="clean"),
    )
    with open_index(site.path) as db:
        found = [document.write(gather(db, chosen), chosen) for chosen in (["first"], ["second"])]
    told = [said["Pipeline"][0]["stages"][0]["executions"][0]["events"] for said in found]
    assert [said["Pipeline"][0]["name"] for said in found] == ["first", "second"]
    ((one,), (other,)) = told
    assert one["artifact"]["custom_properties"] == {"owner": "ada", "kind": "clean"}
    assert one["artifact"]["properties"]["url"] == (
        "first:/home/ann/model.bin,second:/home/ann/model.bin"
    )
    same = ("name", "uri", "custom_properties", "properties", "create_time_since_epoch")
    assert all(one["artifact"][key] == other["artifact"][key] for key in same)


HOSTILE = (
    ("context", "{"),
    ("artifact", '{"type": "\\ud800"}'),
    ("artifact", '{"type": "t", "id": 1%s}' % ("0" * 30)),
    ("type", '{"kind": "k", "name": "n"}'),
    ("context", '{"type": "t", "created_ms": 9000000000000000000}'),
    ("execution", "[" * 100_000),
    ("type", '{"kind": "execution", "name": "n", "parents": ["nowhere"]}'),
    ("context", '{"type": "Pipeline_Stage", "name": "p/s", "parents": ["nowhere"]}'),
    (
        "artifact",
        '{"type": "t", "contexts": ["nowhere"], "custom": {"x": "mlmd-bytes::no base64"}}',
    ),
)  # fmt: skip


def test_what_packs_from_elsewhere_say_stops_no_export(
    cmfd: Cmfd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read is left out, and said; the rest goes out, with what of it is there."""
    content = a_run(1, loss=[1.0])
    set_param(content, 1, "text", "str", "mlmd-proto::no base64")
    ASite(tmp_path / "site").take(content)
    facts = [
        (number.to_bytes(16, "big"), f"mlmd.{kind}", 1, b"o" * 16, "json", text)
        for number, (kind, text) in enumerate(HOSTILE, 1)
    ]
    add_rows(tmp_path / "site", {"fact": facts})
    said = cmfd("export", "cmf")
    assert [one["name"] for one in said["Pipeline"]] == ["digits"]
    assert "6 of the records" in caplog.text
    cmfd("export", "mlmd", str(tmp_path / "mlmd"))
    with closing(sqlite3.connect(tmp_path / "mlmd")) as db:
        values = db.execute("SELECT string_value FROM ExecutionProperty WHERE name = 'text'")
        assert values.fetchall() == [("mlmd-proto::no base64",)]


def test_what_two_stores_call_the_same_goes_into_one(cmfd: Cmfd, tmp_path: Path) -> None:
    """A store has a name of a type once: of two, both are there, and one under a longer name."""
    for number in (1, 2):
        context = {"type": "Pipeline_Stage", "name": "p/s", "id": 1}
        execution = {
            "type": "p/s", "name": "kept", "id": number,
            "properties": {"Execution_uuid": f"97636a0a-e67f-11f1-b54e-02fc0000000{number}"},
        }  # fmt: skip
        stage = {**context, "executions": [execution]}
        said = {"Pipeline": [{"type": "Parent_Context", "name": "p", "stages": [stage]}]}
        (tmp_path / "one.json").write_text(json.dumps(said))
        cmfd("import", "cmf", str(tmp_path / "one.json"))
    cmfd("export", "mlmd", str(tmp_path / "mlmd"))
    with closing(sqlite3.connect(tmp_path / "mlmd")) as db:
        names = sorted(name for (name,) in db.execute("SELECT name FROM Execution"))
    assert len(names) == 2
    assert names[0] == "kept"
    assert names[1].startswith("kept:")
