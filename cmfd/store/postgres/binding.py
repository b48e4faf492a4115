"""
How the values of a statement reach PostgreSQL: within its text, or beside it.

To plan a question takes longer than most take to run. What is asked again and again is kept planned
by the server, which wants the text to be the same each time and values beside it. What SQLite sees
when it runs, whether a filter is off and how many rows are wanted, is then part of the text: a plan
for all values of these would be a bad one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.store.postgres.dialect import MAIN, translated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Parameters = Mapping[str, object] | Sequence[object]

_QUESTION = re.compile(r"\s*(?:SELECT|WITH)\b[^;]*\Z", re.IGNORECASE)
_IS_NULL = re.compile(r"%\((\w+)\)s IS (NOT )?NULL\b")
_LIMIT = re.compile(r"\bLIMIT nullif\(%\((\w+)\)s, -1\)")
_VALUE = re.compile(r"%\((\w+)\)s")


class Bound(NamedTuple):
    """A statement as psycopg takes it."""

    text: bytes
    parameters: Parameters | None
    is_kept: bool
    """Whether the server may keep it planned: values are beside the text."""


def bound(statement: str, schema: str, parameters: Parameters) -> Bound:
    """
    Return a statement and its values.

    Parameters
    ----------
    statement : str
        Written for SQLite.
    schema : str
        Where the index is.
    parameters : mapping or sequence
        Its values.
    """
    if not parameters:
        text, is_question = _text(statement, schema, None, ())
        return Bound(text, None, is_question)
    if not isinstance(parameters, dict):
        values = list(map(_plain, parameters))
        text, is_question = _text(statement, schema, None, (), has_values=True)
        return Bound(text, values, is_question and all(map(_is_typed, values)))
    said = {name: _plain(value) for name, value in parameters.items()}
    missing = frozenset(name for name, value in said.items() if value is None)
    limits = tuple((name, int(said[name])) for name in _limits(statement))
    text, is_question = _text(statement, schema, missing, limits, has_values=True)
    return Bound(text, said, is_question and all(map(_is_typed, said.values())))


def _plain(value: Any) -> Any:
    """Return a value, as a number where it is a truth value: that is what SQLite makes of it."""
    return int(value) if isinstance(value, bool) else value


def _is_typed(value: object) -> bool:
    """Say whether a value beside the text is of the type that it is within it."""
    return value is None or isinstance(value, (int, str, bytes))


@lru_cache(1000)
def _limits(statement: str) -> tuple[str, ...]:
    return tuple(sorted(set(_LIMIT.findall(translated(statement)))))


@lru_cache(1000)
def _text(
    statement: str,
    schema: str,
    missing: frozenset[str] | None,
    limits: tuple[tuple[str, int], ...],
    *,
    has_values: bool = False,
) -> tuple[bytes, bool]:
    """Return the text for what is missing and for some limits; and whether it is one question."""
    text = translated(statement).replace(MAIN, f'"{schema}"')
    if not has_values:
        return text.replace("%%", "%").encode(), _QUESTION.match(text) is not None
    if missing is not None:
        most = dict(limits)
        text = _LIMIT.sub(lambda found: f"LIMIT nullif({most[found[1]]}, -1)", text)
        text = _IS_NULL.sub(
            lambda found: "false" if (found[1] in missing) is bool(found[2]) else "true", text
        )
        text = _VALUE.sub(lambda found: "NULL" if found[1] in missing else found[0], text)
    return text.encode(), _QUESTION.match(text) is not None
