"""What an artifact cost with its ancestry: as lines and tables for people, and as CSV."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.costs.formats import flat
from cmfd.report.costs.phrases import grades_of, missing_lines, provenance_lines, uncertainty
from cmfd.report.encode import write_csv
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.report.costs.lineage import Bill, LineageCost

MOST_LISTED = 20


def lineage_pages(found: LineageCost) -> Iterator[str | Table]:
    """
    Yield the lines and tables of it.

    Parameters
    ----------
    found : LineageCost
        Of executions, those that took most are listed; JSON and CSV have all.
    """
    yield f"{found.artifact.path}  {found.artifact.kind}  {found.artifact.digest}"
    yield _bills(found)
    if found.amortised is not None:
        yield _borne(found)
    rows = [(f"{one.pipeline}.{one.stage}", *_figures(one.bill)) for one in found.stages]
    yield Table(_columns("stage"), rows, "the ancestry, by stage")
    yield _executions(found)
    yield from _provenance(found)


def lineage_problems(found: LineageCost) -> Iterator[str]:
    """Yield what is not in it."""
    bill = found.ancestry
    if not bill.n_executions:
        yield "Nothing is known of what made it: no execution here wrote it."
    elif bill.n_without_energy:
        yield (
            f"Of {units.count(bill.n_without_energy, 'execution')} of its ancestry no energy is "
            "known: the figures are without it."
        )
    if found.n_hidden:
        yield (
            f"{units.count(found.n_hidden, 'execution')} of other users not counted: see [report] "
            "in the site's site.toml."
        )


def _columns(first: str) -> list[Column]:
    figures = ("executions", "wall", "core time", "energy", "bounds", "CO2e", "embodied")
    return [Column(first), *(Column(one, right=True) for one in figures), Column("grades")]


def _figures(bill: Bill) -> tuple[str, ...]:
    energy, carbon = bill.energy, bill.carbon
    return (
        str(bill.n_executions), units.duration(bill.wall_s * 1e9),
        units.duration(bill.core_s * 1e9), units.energy(energy.energy_j if energy else None),
        uncertainty(energy), units.mass(carbon.operational_gco2e if carbon else None),
        units.mass(carbon.embodied_gco2e if carbon else None),
        grades_of(energy) if energy else units.NOTHING,
    )  # fmt: skip


def _bills(found: LineageCost) -> Table:
    rows = [("ancestry", *_figures(found.ancestry))]
    for name, bill in (("failed trials", found.failed), ("unused variants", found.unused)):
        if bill.n_executions:
            rows.append((f"+ {name}", *_figures(bill)))
    if found.amortised is not None:
        rows.append(("amortised", *_figures(found.amortised.bill)))
    return Table(_columns(""), rows)


def _borne(found: LineageCost) -> str:
    amortised = found.amortised
    assert amortised is not None  # who calls this has looked
    whose = "it is one" if amortised.is_final else "it stands for those made from it"
    return (
        f"Amortised: each execution is shared by the final {amortised.kind} artifacts that it led "
        f"to, at most {amortised.n_bearers}; {whose}."
    )


def _executions(found: LineageCost) -> Table:
    most = sorted(found.executions, key=lambda one: -(one.energy_j or 0))[:MOST_LISTED]
    short = units.short_ids([one.execution for one in most if one.execution])
    figures = ("wall", "core time", "energy", "borne")
    rows = [
        (
            short.get(one.execution, ""), f"{one.pipeline}.{one.stage}", one.variant, one.job,
            one.user, one.status, one.role, units.duration(one.wall_s * 1e9),
            units.duration(one.core_s * 1e9), units.energy(one.energy_j),
            "" if one.portion is None else units.share(one.portion),
        )
        for one in most
    ]  # fmt: skip
    columns = [
        *map(Column, ("execution", "stage", "variant", "job", "user", "status", "role")),
        *(Column(one, right=True) for one in figures),
    ]
    title = "executions"
    if len(most) < len(found.executions):
        title = f"the {len(most)} of {len(found.executions)} executions that took most"
    return Table(columns, rows, title)


def _provenance(found: LineageCost) -> Iterator[str]:
    carbon = found.ancestry.carbon
    if carbon is not None:
        yield ""
        yield from provenance_lines(carbon)
        yield from missing_lines(carbon)


def lineage_csv(found: LineageCost) -> str:
    """Return the executions as CSV, one a line, with all of its fields."""
    lines = [dict(flat(one)) for one in found.executions]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    out = io.StringIO()
    write_csv(out, columns, ([line.get(name) for name in columns] for line in lines))
    return out.getvalue()
