"""Executions that were searched for, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.query.search import Found, LeaderBoard


def found_table(found: Sequence[Found]) -> Table:
    """Make a table of executions with their parameters."""
    columns = (
        Column("execution"), Column("stage"), Column("name"), Column("user"), Column("job"),
        Column("began"), Column("wall", right=True), Column("status"), Column("parameters"),
    )  # fmt: skip
    short = units.short_ids([one.execution for one in found])
    rows = [
        (
            short[one.execution], f"{one.pipeline}.{one.stage}", one.name, one.user, one.job,
            units.when(one.began_ns), units.duration(one.wall_ns), _status(one),
            ", ".join(f"{key}={_values(one, key)}" for key in one.params),
        )
        for one in found
    ]  # fmt: skip
    return Table(columns, rows)


def leaders_table(board: LeaderBoard) -> Table:
    """Make a leader board, with a column for each parameter in which its executions differ."""
    found = board.leaders
    keys = sorted({key for one in found for key in one.params})
    differ = [key for key in keys if len({_values(one, key) for one in found}) > 1]
    columns = (
        Column("execution"), Column("stage"), Column(board.metric, right=True),
        Column("last", right=True), *(Column(key) for key in differ), Column("user"),
        Column("began"), Column("status"),
    )  # fmt: skip
    short = units.short_ids([one.execution for one in found])
    rows = [
        (
            short[one.execution], f"{one.pipeline}.{one.stage}", units.number(one.value),
            units.number(one.last), *(_values(one, key) for key in differ), one.user,
            units.when(one.began_ns), _status(one),
        )
        for one in found
    ]  # fmt: skip
    return Table(columns, rows)


def _status(one: Found) -> str:
    return one.status + ", tainted" * one.tainted


def _values(one: Found, key: str) -> str:
    return "|".join(map(units.literal, one.params.get(key, ())))
