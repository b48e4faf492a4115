"""A report for programs: JSON, CSV, HTML and Prometheus."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from cmfd.query.results import Result
from cmfd.report.encode import to_json, write_csv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.report.costs.model import Report

_STRUCT = re.compile(r"\b(?!None)[A-Z]\w*")
"""In an annotation."""

FORMATS = ("json", "csv", "html", "prometheus")


def rendered(report: Report, form: str) -> str:
    """
    Return a report in a format.

    Parameters
    ----------
    report : Report
        What to show.
    form : str
        One of `FORMATS`.

    Returns
    -------
    str
        Ending with a newline.
    """
    if form == "json":
        return to_json(report) + "\n"
    if form == "csv":
        return to_csv(report)
    if form == "html":
        from cmfd.report.html import render as to_html  # noqa: PLC0415 - imports a library of plots

        return to_html(report)
    from cmfd.report.prometheus import render as to_prometheus  # noqa: PLC0415 - one of several

    return to_prometheus(report)


def to_csv(report: Report) -> str:
    """
    Return the lines that a report consists of as a table: runs, groups, or executions.

    Columns are fields of the model, those of a struct in it after the name of that; lists of what
    a line consists of are left out (JSON has them).
    """
    lines = [dict(flat(row)) for row in _lines(report)]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    out = io.StringIO()
    write_csv(out, columns, ([line.get(name) for name in columns] for line in lines))
    return out.getvalue()


def _lines(report: Report) -> Sequence[Result]:
    if report.about == "runtime":
        return report.runtimes
    if report.about == "waste":
        return report.wastes
    if report.pareto:
        return report.pareto.points
    return report.cards or report.groups


def flat(row: Result, prefix: str = "") -> list[tuple[str, Any]]:
    """
    Return the fields of a struct as columns.

    Parameters
    ----------
    row : Result
        Of the model.
    prefix : str
        What stands before their names, unless they begin so.
    """
    cells: list[tuple[str, Any]] = []
    for name in row.__struct_fields__:
        value = getattr(row, name)
        column = name if not prefix or name.startswith(prefix) else f"{prefix}_{name}"
        if isinstance(value, Result):
            cells += flat(value, column)
        elif value is None and _STRUCT.search(row.__annotations__[name]):
            continue  # its fields are the columns, in lines that have one
        elif isinstance(value, dict):
            cells += [
                (key if name == "names" else f"{column}_{key}", one) for key, one in value.items()
            ]
        elif not isinstance(value, list):
            cells.append((column, value))
    return cells
