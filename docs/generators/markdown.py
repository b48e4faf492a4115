"""Markdown from plain pieces: tables, and text that was written for docstrings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ROLE = re.compile(r"``(.+?)``")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; bars in cells are escaped, line breaks become blanks."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Return text as code, or nothing for nothing."""
    return f"`{text}`" if text else ""


def prose(text: str) -> str:
    """Return a docstring's text as Markdown: reStructuredText's double backquotes are single."""
    return _ROLE.sub(r"`\1`", text.strip())
