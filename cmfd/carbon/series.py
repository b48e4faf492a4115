"""
Intensity series: CSV read strictly, and written in the one way that has a digest.

A file has a head line with the columns ``zone,start_utc,end_utc,g_per_kwh,basis,scope,estimated,
source``, in any order. Each row is true from its start until just before its end. What belongs
together (zone, basis, scope) does not overlap. Of a file with an error, nothing is taken.
"""

from __future__ import annotations

import csv
import hashlib
import io
from decimal import Decimal, InvalidOperation
from itertools import groupby, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from cmfd.carbon.instants import instant, instant_ns
from cmfd.errors import FactorsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COLUMNS = (
    "zone", "start_utc", "end_utc", "g_per_kwh", "basis", "scope", "estimated", "source",
)  # fmt: skip
BASES = ("average", "marginal")
SCOPES = ("lifecycle", "direct")
MOST_G_PER_KWH = 5000
"""More than any power station emits: a larger number is of another unit."""
MOST_DECIMALS = 20
"""Enough for any number that a program writes."""

_MOST_TOLD = 20
_TRUTH = {"true": True, "false": False}


class Row(NamedTuple):
    """The intensity of a zone's grid during a time."""

    zone: str
    basis: str
    scope: str
    began_ns: int
    ended_ns: int
    """Just after it."""
    g_per_kwh: Decimal
    estimated: bool
    source: str


class Gap(NamedTuple):
    """A time within a series for which it has no value."""

    zone: str
    basis: str
    scope: str
    began_ns: int
    ended_ns: int


class Series(NamedTuple):
    """
    What a file holds, whatever the order and the form that it had there.

    Attributes
    ----------
    id : str
        SHA-256 of `text`.
    rows : tuple of Row
        Sorted by zone, basis, scope and time.
    """

    id: str
    rows: tuple[Row, ...]

    def gaps(self) -> list[Gap]:
        """Return the times for which there is no value, between the first and the last."""
        return [
            Gap(one.zone, one.basis, one.scope, one.ended_ns, after.began_ns)
            for _, rows in groupby(self.rows, key=attrgetter("zone", "basis", "scope"))
            for one, after in pairwise(rows)
            if one.ended_ns < after.began_ns
        ]


def read(text: str, name: str) -> Series:
    """
    Read a CSV file.

    Parameters
    ----------
    text : str
        What it holds.
    name : str
        What it is called, for messages.

    Raises
    ------
    FactorsError
        Some line cannot be used; all of them are named, up to 20, and nothing was taken.
    """
    wrong: list[str] = []
    numbered = list(_rows(text, wrong))
    if not wrong:
        numbered.sort(key=lambda item: item[1])
        wrong += _clashes(numbered)
    if not wrong and not numbered:
        wrong.append("line 2: there is no row")
    if wrong:
        more = [f"and {len(wrong) - _MOST_TOLD} more"] if len(wrong) > _MOST_TOLD else []
        told = "\n".join(f"  {line}" for line in (*wrong[:_MOST_TOLD], *more))
        raise FactorsError(
            f"{name} cannot be used; nothing of it was imported. Correct it and import it again:\n"
            f"{told}"
        )
    return of_rows(row for _, row in numbered)


def read_again(text: str, digest: str) -> Series:
    """
    Read what `written` wrote, several times as fast as a file of somebody's.

    Parameters
    ----------
    text : str
        What it wrote.
    digest : str
        SHA-256 of that.

    Raises
    ------
    ValueError
        It was not `written` that wrote it.
    """
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    if tuple(next(lines, ())) != COLUMNS:
        raise ValueError("it does not begin with the columns")
    known_ns = _Instants()
    rows = [
        Row(zone, basis, scope, known_ns[began], known_ns[ended], Decimal(grams),
            _TRUTH[estimated], source)
        for zone, began, ended, grams, basis, scope, estimated, source in lines
    ]  # fmt: skip
    return Series(digest, tuple(rows))


class _Instants(dict[str, int]):
    """Points in time as they were read; mostly, one row ends when the next begins."""

    def __missing__(self, text: str) -> int:
        self[text] = instant_ns(text)
        return self[text]


def of_rows(rows: Iterable[Row]) -> Series:
    """Return rows as a series; they must be right."""
    ordered = tuple(sorted(rows))
    return Series(hashlib.sha256(written(ordered).encode()).hexdigest(), ordered)


def written(rows: Iterable[Row]) -> str:
    """Return rows as CSV, in the form that the digest is of."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in rows:
        lines.writerow(
            (row.zone, instant(row.began_ns), instant(row.ended_ns), f"{row.g_per_kwh:f}",
             row.basis, row.scope, str(row.estimated).lower(), row.source)
        )  # fmt: skip
    return out.getvalue()


def _rows(text: str, wrong: list[str]) -> Iterator[tuple[int, Row]]:
    """Yield the rows with their lines; what is wrong with others is put down."""
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        head = [cell.strip() for cell in next(lines, [])]
        if sorted(head) != sorted(COLUMNS):
            wrong.append(
                f"line 1: the columns must be {','.join(COLUMNS)};"
                f" it has {','.join(head) or 'none'}"
            )
            return
        for cells in lines:
            if not cells:  # an empty line
                continue
            try:
                yield lines.line_num, _row(head, cells)
            except ValueError as error:
                wrong.append(f"line {lines.line_num}: {error}")
    except csv.Error as error:
        wrong.append(f"line {lines.line_num}: {error}")


def _row(head: Sequence[str], values: Sequence[str]) -> Row:
    if len(values) != len(head):
        raise ValueError(f"{len(values)} values where there are {len(head)} columns")
    cells = dict(zip(head, map(str.strip, values), strict=True))
    row = Row(
        zone=_word(cells, "zone"),
        basis=_one_of(cells, "basis", BASES),
        scope=_one_of(cells, "scope", SCOPES),
        began_ns=_instant(cells, "start_utc"),
        ended_ns=_instant(cells, "end_utc"),
        g_per_kwh=_grams(cells["g_per_kwh"]),
        estimated=_TRUTH[_one_of(cells, "estimated", tuple(_TRUTH))],
        source=_word(cells, "source"),
    )
    if row.began_ns >= row.ended_ns:
        raise ValueError(f"end_utc {cells['end_utc']} is not after start_utc {cells['start_utc']}")
    return row


def _word(cells: dict[str, str], column: str) -> str:
    if not cells[column] or not cells[column].isprintable():
        raise ValueError(f"{column} is {cells[column]!r}: it must say something, in one line")
    return cells[column]


def _one_of(cells: dict[str, str], column: str, known: tuple[str, ...]) -> str:
    if (said := cells[column].lower()) not in known:
        raise ValueError(f"{column} is {cells[column]!r}: it must be {' or '.join(known)}")
    return said


def _instant(cells: dict[str, str], column: str) -> int:
    try:
        return instant_ns(cells[column])
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from error


def _grams(text: str) -> Decimal:
    try:
        grams = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"g_per_kwh is {text!r}: it must be a number") from None
    if not grams.is_finite() or not 0 <= grams <= MOST_G_PER_KWH:
        raise ValueError(
            f"g_per_kwh is {text}: it must be 0 to {MOST_G_PER_KWH}, in grams per kilowatt hour"
        )
    # One number has one form: -0, 1E+2 and 100.00 are not told apart.
    grams = abs(grams).normalize()
    if int(grams.as_tuple().exponent) < -MOST_DECIMALS:
        raise ValueError(f"g_per_kwh is {text}: it has more than {MOST_DECIMALS} decimals")
    return grams


def _clashes(numbered: list[tuple[int, Row]]) -> Iterator[str]:
    """Yield what overlaps among sorted rows."""
    for _, items in groupby(numbered, key=lambda item: item[1][:3]):
        (last_line, last), *others = items
        for line, row in others:
            if row.began_ns < last.ended_ns:
                first, second = sorted((last_line, line))
                kind = "repeats" if row[3:5] == last[3:5] else "overlaps"
                yield f"line {second}: {kind} line {first}, of the same zone, basis and scope"
            if row.ended_ns > last.ended_ns:
                last_line, last = line, row
