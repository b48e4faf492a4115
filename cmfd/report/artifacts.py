"""Artifacts as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.notes import standing_lines
from cmfd.report.text import Column, Table, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.query.artifacts import ArtifactDetail, KnownArtifact


def artifacts_table(found: Sequence[KnownArtifact]) -> Table:
    """Make a table of artifacts."""
    columns = (
        Column("path"), Column("kind"), Column("size", right=True), Column("written", right=True),
        Column("read", right=True), Column("digest", short=True),
    )  # fmt: skip
    rows = [
        (
            one.path or "", one.kind or "", units.size(one.size_bytes), str(one.n_producers),
            str(one.n_consumers), one.digest,
        )
        for one in found
    ]  # fmt: skip
    return Table(columns, rows)


def artifact_lines(found: ArtifactDetail) -> Iterator[str]:
    """Yield what an artifact is."""
    one = found.artifact
    files = units.count(one.n_files or 0, "file")
    known = {
        "digest": one.digest,
        "strong": one.strong or "",
        "kind": one.kind or "",
        "size": f"{units.size(one.size_bytes)} in {files}",
        **standing_lines(found.standing),
    }
    yield from (f"{key:7} {printable(text)}" for key, text in known.items() if text)


def uses_table(found: ArtifactDetail) -> Table:
    """Make a table of who wrote and read an artifact, and where it was then."""
    columns = (
        Column("at"), Column(""), Column("stage"), Column("execution"), Column("path"),
        Column("host"), Column(""),
    )  # fmt: skip
    short = units.short_ids(list(dict.fromkeys(one.execution for one in found.uses)))
    rows = [
        (
            units.when(one.at_ns), one.direction, f"{one.pipeline}.{one.stage}",
            short[one.execution], one.absolute, one.host, one.problem,
        )
        for one in found.uses
    ]  # fmt: skip
    return Table(columns, rows, "uses")
