"""Packs, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def _kind(one: PackLine) -> str:
    """Return what a pack is, if it is not the last of a run; what is of none is a node's ledger."""
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
