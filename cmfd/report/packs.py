"""Packs, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.query.packs import PackLine

_SHORT = 12


def packs_table(found: Sequence[PackLine]) -> Table:
    """Return packs as a table."""
    return Table(
        [
            Column("pack"), Column("run"), Column("job"), Column("user"), Column("from"),
            Column("made"), Column("merged"), Column("size", right=True), Column(""),
        ],
        [
            (
                one.digest[:_SHORT], one.run[:_SHORT], one.job, one.user,
                "/".join(filter(None, (one.cluster, one.node))),
                units.when(one.sealed_ns), units.when(one.merged_ns),
                units.size(one.size_bytes), "" if one.is_final else "checkpoint",
            )
            for one in found
        ],
    )  # fmt: skip
