"""
The filter language: what `cmfd search` and ``--where`` take, as a condition in SQL.

    lr < 0.01 and stage = "train" and metric.accuracy > 0.9 and not tag.broken

Nothing of a filter's text becomes SQL: fields choose among the texts of `cmfd.query.fields`, and
names and values are bound parameters.
"""

from __future__ import annotations

import ast
import difflib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import FilterError
from cmfd.query.distant import is_far
from cmfd.query.fields import CONDITIONS, GROUPS, Binder, Condition, Kind, condition_of
from cmfd.query.times import time_ns
from cmfd.query.words import words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from lark import Lark, Token, Tree

_ORDERED = frozenset(("<", "<=", ">", ">="))
_EXPECTED = {
    "FIELD": "a field", "STRING": "a text in quotes", "OPERATOR": "a comparison", "IN": "'in'",
    "NOT": "'not'", "AND": "'and'", "OR": "'or'", "LPAR": "'('", "RPAR": "')'", "COMMA": "','",
}  # fmt: skip
_INSIDE = frozenset(("RPAR", "COMMA"))
"""Expected only where a parenthesis is open."""
MOST_CHARACTERS = 1 << 16
"""A longer filter is refused: it may come from another site."""

_STRINGS = re.compile(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'')
_WORD = re.compile(r"[^\W\d][\w.\-/]*")


class Compiled(NamedTuple):
    """A condition on an execution `e` and its run `r`, and what is bound in it."""

    sql: str
    parameters: dict[str, Any]


@cache
def _parser() -> Lark:
    from lark import Lark  # noqa: PLC0415 - only where there is a filter

    grammar = Path(__file__).with_suffix(".lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual")


class Filter:
    """
    A filter, read and checked; without a text, one that lets everything pass.

    Parameters
    ----------
    text : str
        In the filter language.
    db : sqlite3.Connection
        A site's index, to tell parameters from slips of the pen.
    pipelines : sequence of str
        As if there were no executions of others; none: of all.

    Raises
    ------
    FilterError
        It says where the text cannot be understood, and what is wrong there.
    """

    def __init__(self, text: str, db: sqlite3.Connection, *, pipelines: Sequence[str] = ()) -> None:
        self.text = text
        self._db = db
        self._pipelines = pipelines
        self._params: set[str] = set()
        if len(text) > MOST_CHARACTERS:
            raise FilterError(f"a filter has at most {MOST_CHARACTERS} characters")
        self._tree = self._parsed() if text.strip() else None
        try:
            self.compiled(by_index=False)  # every field and value is checked at once
        except RecursionError:
            raise FilterError("the filter is nested too deeply; say it with less 'not'") from None

    def compiled(self, *, by_index: bool) -> Compiled:
        """
        Return the condition.

        Parameters
        ----------
        by_index : bool
            Whether it shall find the executions that fit among all, by what they have, or decide
            on one after the other.
        """
        binder = Binder(by_index=by_index, is_far=is_far(self._db))
        sql = "true" if self._tree is None else self._sql(self._tree, binder)
        return Compiled(sql, binder.parameters)

    def _parsed(self) -> Any:
        from lark.exceptions import UnexpectedInput  # noqa: PLC0415 - as above

        try:
            return _parser().parse(self.text)
        except UnexpectedInput as error:
            at: int | None = error.pos_in_stream
            if at is None or at < 0 or getattr(getattr(error, "token", None), "type", "") == "$END":
                at = len(self.text)
            # Which of the two it has depends on whether the characters made a word.
            expected = getattr(error, "allowed", None) or getattr(error, "expected", None) or ()
            raise self._error(at, _problem(self.text, at, set(expected))) from None

    def _sql(self, node: Tree[Token], binder: Binder) -> str:
        parts: list[Any] = node.children
        rule = node.data
        if rule in ("any", "all"):
            joint = " OR " if rule == "any" else " AND "
            return f"({joint.join(self._sql(part, binder) for part in parts)})"
        if rule == "negation":
            return f"(NOT ifnull({self._sql(parts[0], binder)}, false))"
        if rule == "words":
            return words(_literal(parts[0]), binder)
        if rule == "presence":
            return self._presence(parts[0], binder)
        if rule == "comparison":
            return self._comparison(parts[0], str(parts[1]), parts[2], binder)
        each = [self._comparison(parts[0], "=", value, binder) for value in parts[1:]]
        return f"({' OR '.join(each)})"

    def _presence(self, token: Token, binder: Binder) -> str:
        group, _, rest = str(token).partition(".")
        if group in GROUPS and rest:
            return self._condition(token).present(binder)
        if token in CONDITIONS and CONDITIONS[token].kind is Kind.FLAG:
            return CONDITIONS[token].present(binder)
        if token in CONDITIONS or "." in token:
            raise self._error(token, "compare it with something: " + f'{token} = "..."')
        return words(str(token), binder)

    def _comparison(self, field: Token, operator: str, value: Token, binder: Binder) -> str:
        condition = self._condition(field)
        operator = "=" if operator == "==" else operator
        literal = _literal(value)
        kind = condition.kind
        if kind is Kind.TIME:
            literal = self._time(value, literal)
        problem = _mismatch(kind, operator, literal)
        if problem:
            raise self._error(value, f"{field} {problem}")
        return condition.compare(operator, literal, binder)

    def _condition(self, token: Token) -> Condition:
        group, dot, _ = str(token).partition(".")
        if group in GROUPS and not dot and token not in CONDITIONS:
            raise self._error(token, f"say which one: {group}.NAME")
        found = condition_of(str(token))
        if found.is_param and group not in GROUPS and str(token) not in self._params:
            if not self._is_there(str(token)):
                near = difflib.get_close_matches(str(token), [*CONDITIONS, *GROUPS], 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise self._error(
                    token, f"{token} is no field, and no execution has such a parameter{hint}"
                )
            self._params.add(str(token))
        return found

    def _is_there(self, key: str) -> bool:
        """Say whether an execution has a parameter."""
        if not self._pipelines:
            query = "SELECT 1 FROM param WHERE key = :key LIMIT 1"
            return self._db.execute(query, {"key": key}).fetchone() is not None
        names = {f"p{number}": name for number, name in enumerate(self._pipelines)}
        marks = ", ".join(f":{name}" for name in names)
        query = f"""
            SELECT 1 FROM execution AS e
            CROSS JOIN param AS p ON p.execution_id = e.id AND p.key = :key
            WHERE e.pipeline IN ({marks}) LIMIT 1"""  # noqa: S608 - names of this function
        return self._db.execute(query, {"key": key, **names}).fetchone() is not None

    def _time(self, token: Token, literal: Any) -> int:
        try:
            return time_ns(literal if isinstance(literal, str) else "")
        except (ValueError, OverflowError):
            raise self._error(token, 'no time: "2026-11-22", "2026-11-22T14:30", "...Z"') from None

    def _error(self, at: Token | int, problem: str) -> FilterError:
        begin = at if isinstance(at, int) else at.start_pos or 0
        shown = "".join(char if char.isprintable() else " " for char in self.text)
        return FilterError(
            f"{problem}, at character {begin + 1} of the filter\n  {shown}\n  {' ' * begin}^"
        )


def _problem(text: str, at: int, expected: set[str]) -> str:
    """Say what is wrong at a place where the words of `expected` may stand."""
    before = _STRINGS.sub("", text[:at])
    is_open = before.count("(") > before.count(")")
    here = text[at : at + 1]
    if here and here in "\"'" and not _STRINGS.match(text, at):
        return "this quote is not closed"
    if here == ")" and not is_open:
        return "no '(' belongs to this"
    if "NUMBER" in expected:
        word = _WORD.match(text, at)
        quoted = f': "{word[0]}"' if word and word[0] not in ("and", "or", "not", "in") else ""
        return f"expected a number, a text in quotes{quoted}, true, false or null"
    expected -= frozenset() if is_open else _INSIDE
    said = [word for name, word in _EXPECTED.items() if name in expected]
    if not said:
        return "not understood"
    return "expected " + " or ".join(filter(None, (", ".join(said[:-1]), said[-1])))


def _literal(token: Token) -> Any:
    """Return the value that is written."""
    if token.type == "STRING":
        try:
            return ast.literal_eval(token.replace("\n", "\\n"))
        except (SyntaxError, ValueError):
            raise FilterError(f"{token}: write \\\\ for a backslash") from None
    if token.type == "NUMBER":
        try:
            return int(token)
        except ValueError:
            return float(token)
    return {"TRUE": True, "FALSE": False, "NULL": None}[token.type]


def _mismatch(kind: Kind, operator: str, value: Any) -> str:
    """Say why a field cannot be compared like that; nothing if it can."""
    if kind is Kind.FLAG:
        return "" if isinstance(value, bool) and operator in ("=", "!=") else "is true or false"
    return _mismatch_of_value(kind, operator, value)


def _mismatch_of_value(kind: Kind, operator: str, value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if operator == "~" and (kind in (Kind.NUMBER, Kind.TIME) or not isinstance(value, str)):
        return "is no text to look for a text in"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "has no numbers as large as that"
    if kind is Kind.TEXT and not isinstance(value, str):
        return "is a text: put what it is compared with in quotes"
    if kind is Kind.NUMBER and not is_number:
        return "is a number"
    if operator in _ORDERED and not is_number:
        return "has an order only for numbers and times"
    return ""
