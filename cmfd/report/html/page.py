"""A page of a report before it is HTML: what stands where, as text, tables and plots."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import ConfigError
from cmfd.report.text import Table, printable
from cmfd.report.units import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.report.costs.model import Note
    from cmfd.report.html.plots import Plot


MISSING = (
    "A report in HTML needs Matplotlib and Jinja: pip install 'cmfd[report]'. Text, JSON and CSV "
    "do not."
)


class Tile(NamedTuple):
    """A key figure."""

    what: str
    figure: str
    more: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section, or the card of a job; what is empty is left out."""

    title: str
    lead: str = ""
    is_card: bool = False
    chips: Sequence[str] = ()
    tiles: Sequence[Tile] = ()
    notes: Sequence[Note] = ()
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()

    def __bool__(self) -> bool:
        """Whether there is anything below the title."""
        has_rows = any(table.rows for table in self.tables)
        return bool(self.chips or self.tiles or self.notes or self.plots or has_rows)


@dataclass(frozen=True, kw_only=True)
class Page:
    """All of it."""

    title: str
    lines: Sequence[str] = ()
    """Below the title."""
    tiles: Sequence[Tile] = ()
    notes: Sequence[Note] = ()
    parts: Sequence[Part] = field(default_factory=tuple)
    footer: Sequence[str] = ()


def to_html(page: Page) -> str:
    """
    Return a page as HTML: one file that needs no other and no network.

    Whatever a user named is text in it, never markup: Jinja escapes all but the drawings, which
    Matplotlib has escaped, and the page forbids the browser scripts and anything from elsewhere.

    Raises
    ------
    ConfigError
        Jinja is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - an extra
        from markupsafe import Markup  # noqa: PLC0415 - as above
    except ImportError:
        raise ConfigError(MISSING) from None

    def shown(value: Any) -> Any:
        return printable(value) if type(value) is str else value

    here = Path(__file__).parent
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=shown)
    # For our own style, and Matplotlib's drawings.
    environment.filters["drawing"] = Markup
    environment.filters["said"] = without_empty_columns
    environment.filters["coded"] = _with_commands
    template = environment.from_string((here / "page.html.j2").read_text("utf-8"))
    style = (here / "style.css").read_text("utf-8")
    return template.render(page=page, style=style) + "\n"


def without_empty_columns(table: Table) -> Table:
    """Leave out columns in which nothing is said, but for the first."""
    used = [
        not number or any(row[number] not in ("", NOTHING) for row in table.rows)
        for number in range(len(table.columns))
    ]
    rows = [tuple(compress(row, used)) for row in table.rows]
    return Table(list(compress(table.columns, used)), rows, table.title)


def _with_commands(text: str) -> object:
    """Return a text with what stands in backticks as code; all of it escaped."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - an extra

    pieces = re.split("`([^`]+)`", printable(text))
    code = Markup("<code>{}</code>")
    return Markup().join(
        code.format(piece) if number % 2 else escape(piece) for number, piece in enumerate(pieces)
    )
