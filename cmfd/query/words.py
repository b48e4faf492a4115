"""
Words in a filter: a text that stands in a name, parameter or tag of an execution.

To find all executions with it, each text that there is at all is looked at once, however many rows
have it: indexes lead from one to the next. Where a column turns out to have very many texts, the
rest of its rows are looked at one by one, which is faster then. PostgreSQL's indexes of texts lead
to no next one: there, all rows are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.query.fields import TEXTUAL, has_fact, has_text, pattern_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cmfd.query.fields import Binder

    Has = Callable[..., str]

MOST_APART = 1000
"""Texts of a column that are led to one by one, each in the time of some three rows."""


def words(text: str, binder: Binder) -> str:
    """Return the condition that a text stands in a name, parameter or tag of an execution."""
    name = binder.bind(pattern_of(text))

    def has(*columns: str) -> str:
        return "(" + " OR ".join(has_text(column, name) for column in columns) + ")"

    if binder.by_index:
        return _by_index(has, _all_rows if binder.is_far else _rows)
    texts = f"(p.value_type IN {TEXTUAL} AND {has('p.value')} OR {has('p.key')})"
    facts = f"(f.value_type IN {TEXTUAL} AND {has('f.value')} OR {has('f.key')})"
    parts = [
        has("e.pipeline", "e.stage", "r.name", "r.user", "r.job", "r.command"),
        binder.within("param AS p", "p.execution_id", texts),
        has_fact(facts, binder),
    ]
    return f"({' OR '.join(parts)})"


_LED = """
    heads (head, n) AS (
        SELECT min({head}), 1 FROM {table}
        UNION ALL
        SELECT (SELECT min(o.{head}) FROM {table} AS o WHERE o.{head} > h.head), h.n + 1
        FROM heads AS h WHERE h.head IS NOT NULL AND h.n < {most}
    ),
    texts (head, text, n) AS (
        SELECT h.head, (
            SELECT min(o.{text}) FROM {table} AS o WHERE o.{head} = h.head AND o.{text} >= ''
        ), 1
        FROM heads AS h WHERE h.head IS NOT NULL
        UNION ALL
        SELECT t.head, (
            SELECT min(o.{text}) FROM {table} AS o WHERE o.{head} = t.head AND o.{text} > t.text
        ), t.n + 1
        FROM texts AS t WHERE t.text IS NOT NULL AND t.n < {most}
    )"""
"""What stands first in an index, and the texts that stand second with each, as far as led to."""


def _rows(has: Has, table: str, head: str, text: str, column: str) -> str:
    """Return the query for the rows that have it in one of the two columns that an index is of."""
    led = _LED.format(table=table, head=head, text=text, most=MOST_APART)
    return f"""WITH RECURSIVE {led}
        SELECT o.{column} AS found FROM heads AS h CROSS JOIN {table} AS o ON o.{head} = h.head
        WHERE {has("h.head")}
        UNION ALL
        SELECT o.{column} FROM heads AS h CROSS JOIN {table} AS o ON o.{head} > h.head
        WHERE h.n = {MOST_APART} AND ({has(f"o.{head}")} OR o.{text} >= '' AND {has(f"o.{text}")})
        UNION ALL
        SELECT o.{column} FROM texts AS t
        CROSS JOIN {table} AS o ON o.{head} = t.head AND o.{text} = t.text
        WHERE {has("t.text")}
        UNION ALL
        SELECT o.{column} FROM texts AS t
        CROSS JOIN {table} AS o ON o.{head} = t.head AND o.{text} > t.text
        WHERE t.n = {MOST_APART} AND {has(f"o.{text}")}"""  # noqa: S608 - no text of a filter


def _all_rows(has: Has, table: str, head: str, text: str, column: str) -> str:
    """Return the same query without an index."""
    return f"""SELECT o.{column} AS found FROM {table} AS o
        WHERE {has(f"o.{head}")} OR o.{text} >= '' AND {has(f"o.{text}")}"""  # noqa: S608 - no text of a filter


def _by_index(has: Has, rows: Callable[..., str]) -> str:
    """Return the condition by what is there at all: stages, runs, keys, values that are texts."""
    params = rows(has, "param", "key", "value", "execution_id")
    stages = rows(has, "execution", "pipeline", "stage", "id")
    # One list, which leads: several, each with its own IN, would be looked up for every execution.
    return f"""e.id IN (
        WITH said AS ({rows(has, "fact", "key", "value", "subject")})
        SELECT s.found FROM ({stages}) AS s
        UNION ALL
        SELECT x.id FROM run AS r CROSS JOIN execution AS x ON x.run_id = r.id
        WHERE {has("r.name", "r.user", "r.job", "r.command")}
        UNION ALL
        SELECT s.found FROM ({params}) AS s
        UNION ALL
        SELECT x.id FROM said AS s CROSS JOIN execution AS x ON x.execution = s.found
        UNION ALL
        SELECT x.id FROM said AS s
        CROSS JOIN run AS r ON r.run = s.found CROSS JOIN execution AS x ON x.run_id = r.id
    )"""  # noqa: S608 - no text of a filter
