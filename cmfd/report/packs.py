"""Packs, for people."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cmfd.merge.receipts import Receipt
    from cmfd.query.packs import PackLine

_SHORT = 12


def packs_table(
    found: Sequence[PackLine], signers: Mapping[str, tuple[str, str] | None] | None = None
) -> Table:
    """Return packs as a table; with who signed each, by digest: a name, if known, and a key."""
    return Table(
        [
            Column("pack"), Column("run"), Column("job"), Column("user"), Column("from"),
            Column("made"), Column("merged"), Column("size", right=True), Column(""),
            Column("signed by"),
        ],
        [
            (
                one.digest[:_SHORT], one.run[:_SHORT], one.job, one.user,
                "/".join(filter(None, (one.cluster, one.node))),
                units.when(one.sealed_ns), units.when(one.merged_ns),
                units.size(one.size_bytes), _kind(one),
                _signed_by(signers, one.digest),
            )
            for one in found
        ],
    )  # fmt: skip


def graph_lines(found: Sequence[PackLine], received: Mapping[str, Receipt]) -> Iterator[str]:
    """Yield packs, the latest first, as git draws commits: what came together beside a line."""
    for receipt, packs in groupby(found, key=lambda one: received.get(one.digest)):
        lines = [_line(one) for one in packs]
        if receipt is None:
            yield from (f"* {line}" for line in lines)
            continue
        how = f"pulled from {receipt.source}" if receipt.source else "pushed"
        what = f"{units.count(len(lines), 'pack')} {how} by {receipt.by.removeprefix('user:')}"
        yield f"*   {what}, {units.when(receipt.at_ns)}"
        yield "|\\"
        yield from (f"| * {line}" for line in lines)
        yield "|/"


def _line(one: PackLine) -> str:
    words = (
        one.digest[:_SHORT], one.run[:_SHORT], one.job, one.user,
        "/".join(filter(None, (one.cluster, one.node))), units.when(one.sealed_ns), _kind(one),
    )  # fmt: skip
    return " ".join(filter(None, words))


def _kind(one: PackLine) -> str:
    """Return what a pack is, if it is not the last of a run; what is of none is a node's ledger."""
    if one.is_late:
        return "late facts"
    if one.is_final:
        return ""
    return "checkpoint" if one.run else "node's ledger"


def _signed_by(signers: Mapping[str, tuple[str, str] | None] | None, digest: str) -> str:
    """Return who signed a pack; nothing where that is not asked."""
    if signers is None:
        return ""
    signer = signers[digest]
    if signer is None:
        return "nobody"
    name, key = signer
    return name or f"unknown: {key}"
