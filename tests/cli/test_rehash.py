"""Artifacts that were known by a quick digest, known by all of their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.graphs import Made, content, digest
from support.packs import an_id
from support.sites import from_json

from cmfd.content.files import hash_path
from cmfd.content.quick import quick_hash

if TYPE_CHECKING:
    from pathlib import Path

    from support.packs import Content
    from support.sites import ASite, Invoke

EXECUTION = [an_id("exec", number).hex() for number in range(2)]
GRAPH = [
    Made(frozenset({0}), frozenset({1}), None),
    Made(frozenset({2}), frozenset({3}), None),
]
"""One reads a file known by samples, the other the same file, known by its bytes."""


def held(rows: Content, number: int, known_as: str, file: Path) -> None:
    """Make an artifact the content of a file."""
    for table, at in (("artifact", 0), ("event", 2)):
        rows[table] = [
            (*row[:at], known_as, *row[at + 1 :]) if row[at] == digest(number) else row
            for row in rows[table]
        ]
    rows["event"] = [
        (*row[:8], str(file), *row[9:]) if row[2] == known_as else row for row in rows["event"]
    ]


def down(invoke: Invoke, what: str) -> set[str]:
    found = from_json(invoke("lineage", "down", what, "--json"))
    return {one["execution"] for one in found["executions"]}


def test_both_digests_stand_for_the_same_content_afterwards(
    site: ASite, invoke: Invoke, tmp_path: Path
) -> None:
    """Lineage goes through either; a second time there is nothing to read."""
    file = tmp_path / "huge"
    file.write_bytes(b"hits" * 10_000)
    quick, full = quick_hash(file).digest, hash_path(file)
    rows = content(GRAPH)
    held(rows, 0, quick, file)
    held(rows, 2, full.digest, file)
    site.take(rows)
    assert down(invoke, quick) == {EXECUTION[0]}

    (done,) = from_json(invoke("artifacts", "rehash", "--json"))
    assert (done["quick"], done["digest"], done["place"]) == (quick, full.digest, str(file))
    assert down(invoke, quick) == set(EXECUTION)
    assert down(invoke, full.digest) == set(EXECUTION)
    assert from_json(invoke("artifacts", "show", full.digest, "--json"))["artifact"]["strong"]
    n_packs = len(list(site.path.glob("packs/*/*.db")))
    assert from_json(invoke("artifacts", "rehash", "--json")) == []
    assert from_json(invoke("artifacts", "rehash", quick, "--json")) == []
    assert len(list(site.path.glob("packs/*/*.db"))) == n_packs


def test_content_that_has_changed_is_not_taken_for_what_it_was(
    site: ASite, invoke: Invoke, tmp_path: Path
) -> None:
    """Nothing is said of it; who names it is told, who asks for all is not stopped by it."""
    file = tmp_path / "huge"
    file.write_bytes(b"hits" * 10_000)
    quick = quick_hash(file).digest
    rows = content(GRAPH)
    held(rows, 0, quick, file)
    site.take(rows)
    assert down(invoke, "huge") == {EXECUTION[0]}  # by its samples, while nothing else is known
    file.write_bytes(b"hats" * 10_000)
    (done,) = from_json(invoke("artifacts", "rehash", "--json"))
    assert done["digest"] == ""
    assert "holds something else now" in invoke("artifacts", "rehash", quick, code=12).stderr
    file.unlink()
    assert "nowhere on this machine" in invoke("artifacts", "rehash", quick, code=12).stderr
    assert down(invoke, quick) == {EXECUTION[0]}
