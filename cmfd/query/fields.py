"""
The fields of the filter language, and each one's condition in SQL.

Conditions are on a row `e` of `execution` with its run `r`. Those on what an execution has many of
(parameters, metrics, tags, artifacts, nodes) have two forms of the same meaning: EXISTS, to decide
on one execution, and IN, to find all executions by an index of that table.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

TEXTUAL = ("str", "json")


class Kind(enum.Enum):
    """What a field may be compared with."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    FLAG = "true or false"
    ANY = "any"
    """Whatever was recorded: text, number, true, false, null."""


@dataclass
class Binder:
    """Gathers what is bound, and says which form conditions take."""

    by_index: bool
    is_far: bool = False
    """Whether the index is on a server."""
    parameters: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """Return the parameter that stands for a value."""
        name = f"f{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def within(self, table: str, execution: str, condition: str) -> str:
        """Return the condition that an execution has a row in a table."""
        if self.by_index:
            return f"e.id IN (SELECT {execution} FROM {table} WHERE {condition})"  # noqa: S608 - no text of a filter
        return _there_is(f"{table} WHERE {execution} = e.id AND {condition}")


class Condition:
    """A field, as a filter names it."""

    is_param = False

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        """Return the condition that one of its values compares so."""
        raise NotImplementedError

    def present(self, binder: Binder) -> str:
        """Return the condition that there is such a thing."""
        raise NotImplementedError


class _Scalar(Condition):
    """What an execution has one of."""

    def __init__(self, kind: Kind, expression: str, meaning: str) -> None:
        super().__init__(kind)
        self.expression = expression
        self.meaning = meaning

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        return _compared(self.expression, operator, value, binder)


class _Rows(Condition):
    """What an execution has any number of, each in a row of a table."""

    def __init__(
        self, kind: Kind, table: str, execution: str, columns: tuple[str, ...], meaning: str
    ) -> None:
        super().__init__(kind)
        self.table, self.execution, self.columns, self.meaning = table, execution, columns, meaning

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        each = [_compared(column, operator, value, binder) for column in self.columns]
        return binder.within(self.table, self.execution, f"({' OR '.join(each)})")


class _Event(Condition):
    """What an execution read or wrote, by digest or path."""

    def __init__(self, direction: str) -> None:
        super().__init__(Kind.TEXT)
        self.direction = direction
        word = "read" if direction == "input" else "wrote"
        self.meaning = f"digest or path of something it {word}"

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        digest = _compared("a.digest", operator, value, binder)
        path = _compared("v.path", operator, value, binder)
        known = f"v.artifact_id IN (SELECT a.id FROM artifact AS a WHERE {digest})"  # noqa: S608 - no text of a filter
        each = [
            binder.within(
                "event AS v", "v.execution_id", f"v.direction = '{self.direction}' AND {condition}"
            )
            for condition in (known, path)
        ]
        return f"({' OR '.join(each)})"


class _Said(Condition):
    """What people said of an execution, of its run, or of something that it read or wrote."""

    def __init__(self, view: str, column: str, meaning: str) -> None:
        super().__init__(Kind.TEXT)
        self.view, self.column, self.meaning = view, column, meaning

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        return self._said(_compared(f"n.{self.column}", operator, value, binder), binder)

    def _said(self, condition: str, binder: Binder) -> str:
        if not binder.by_index:
            own = f"""{self.view} AS n
                WHERE n.subject IN (lower(hex(e.execution)), lower(hex(r.run))) AND {condition}"""
            of_content = f"""event AS v CROSS JOIN artifact AS a ON a.id = v.artifact_id
                CROSS JOIN {self.view} AS n ON n.subject = a.digest
                WHERE v.execution_id = e.id AND {condition}"""
            return f"({_there_is(own)} OR {_there_is(of_content)})"
        return f"""e.id IN (
            SELECT x.id FROM {self.view} AS n
            CROSS JOIN execution AS x ON x.execution = id_of(n.subject) WHERE {condition}
            UNION ALL
            SELECT x.id FROM {self.view} AS n CROSS JOIN run AS q ON q.run = id_of(n.subject)
            CROSS JOIN execution AS x ON x.run_id = q.id WHERE {condition}
            UNION ALL
            SELECT v.execution_id FROM {self.view} AS n
            CROSS JOIN artifact AS a ON a.digest = n.subject
            CROSS JOIN event AS v ON v.artifact_id = a.id WHERE {condition})"""  # noqa: S608 - as above


class _Tainted(_Said):
    def __init__(self, meaning: str) -> None:
        super().__init__("tainted", "reason", meaning)
        self.kind = Kind.FLAG

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        present = self.present(binder)
        return present if value == (operator == "=") else f"NOT {present}"

    def present(self, binder: Binder) -> str:
        return self._said("true", binder)


class _Param(Condition):
    is_param = True

    def __init__(self, name: str) -> None:
        super().__init__(Kind.ANY)
        self.name = name

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        return self._with(_typed("p", operator, value, binder), binder)

    def present(self, binder: Binder) -> str:
        return self._with("true", binder)

    def _with(self, condition: str, binder: Binder) -> str:
        key = binder.bind(self.name)
        return binder.within("param AS p", "p.execution_id", f"p.key = {key} AND {condition}")


class _Fact(Condition):
    """A tag or fact of an execution or of its run."""

    def __init__(self, name: str) -> None:
        super().__init__(Kind.ANY)
        self.name = name

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        return self._with(_typed("f", operator, value, binder), binder)

    def present(self, binder: Binder) -> str:
        return self._with("NOT (f.value_type = 'bool' AND f.value = 0)", binder)

    def _with(self, condition: str, binder: Binder) -> str:
        return has_fact(f"f.key = {binder.bind(self.name)} AND {condition}", binder)


class _Metric(Condition):
    """A metric: its last value, or its least or greatest one, over all ranks."""

    def __init__(self, name: str, which: str) -> None:
        super().__init__(Kind.NUMBER)
        self.name = name
        self.which = which

    def compare(self, operator: str, value: Any, binder: Binder) -> str:
        return self._with(_compared(_FIGURES[self.which], operator, value, binder), binder)

    def present(self, binder: Binder) -> str:
        return self._with("true", binder)

    def _with(self, condition: str, binder: Binder) -> str:
        name = f"s.execution_id = e.id AND s.name = {binder.bind(self.name)}"
        # Its values lie in chunks: they are read only of executions that pass all else.
        figure = _there_is(f"series AS s WHERE {name} AND {condition}")
        has = binder.within("series AS s", "s.execution_id", name.partition(" AND ")[2])
        return f"({has} AND {figure})" if binder.by_index else figure


_ALL_CHUNKS = """\
(SELECT {figure} FROM series AS q CROSS JOIN chunk AS c ON c.series_id = q.id
 WHERE q.execution_id = s.execution_id AND q.name = s.name)"""
_FIGURES = {
    "metric": """\
(SELECT c.last_value FROM chunk AS c WHERE c.series_id = s.id
 ORDER BY c.last_ns DESC, c.block DESC LIMIT 1)""",
    "metric_min": _ALL_CHUNKS.format(figure="min(c.value_min)"),
    "metric_max": _ALL_CHUNKS.format(figure="max(c.value_max)"),
}

NAME = """\
coalesce(
    (SELECT CAST(n.value AS TEXT) FROM fact AS n WHERE n.subject = r.run AND n.key = 'name'), r.name
)"""
_OF_VIEW = "(SELECT x.{0} FROM executions AS x WHERE x.execution_id = e.id)"

CONDITIONS: dict[str, _Scalar | _Rows | _Event | _Said] = {
    "execution": _Scalar(Kind.TEXT, "lower(hex(e.execution))", "its id, 32 digits"),
    "run": _Scalar(Kind.TEXT, "lower(hex(r.run))", "id of its run, 32 digits"),
    "name": _Scalar(Kind.TEXT, NAME, "its run's name"),
    "pipeline": _Scalar(Kind.TEXT, "e.pipeline", "pipeline"),
    "stage": _Scalar(Kind.TEXT, "e.stage", "stage"),
    "step": _Scalar(Kind.TEXT, "e.step", "step of the job"),
    "status": _Scalar(
        Kind.TEXT, _OF_VIEW.format("status"), "running, completed, failed, cancelled, lost"
    ),
    "user": _Scalar(Kind.TEXT, "r.user", "whose run it is part of"),
    "cluster": _Scalar(Kind.TEXT, "r.cluster", "cluster; empty without a batch system"),
    "job": _Scalar(Kind.TEXT, "r.job", "job id, as a text"),
    "command": _Scalar(Kind.TEXT, "r.command", "command line of its run"),
    "node": _Rows(
        Kind.TEXT, "process AS p", "p.execution_id", ("p.host",), "host of one of its processes"
    ),
    "input": _Event("input"),
    "output": _Event("output"),
    "began": _Scalar(Kind.TIME, "e.at_ns", "when it began"),
    "ended": _Scalar(Kind.TIME, _OF_VIEW.format("ended_ns"), "when it ended"),
    "wall_s": _Scalar(Kind.NUMBER, _OF_VIEW.format("wall_s"), "how long it took, in seconds"),
    "ranks": _Scalar(Kind.NUMBER, _OF_VIEW.format("n_ranks"), "how many ranks it has"),
    "exit_code": _Scalar(Kind.NUMBER, _OF_VIEW.format("exit_code"), "exit code"),
    "tainted": _Tainted("whether it, its run, or something it read or wrote is marked as tainted"),
    "tag": _Said("tags", "tag", "a tag of it, its run, or something it read or wrote"),
    "label": _Said("labels", "label", "the label of one of these"),
    "note": _Said("notes", "text", "anything that was said of one of these"),
}  # fmt: skip
"""The fields that are always there, with what they mean."""

GROUPS = {
    "param": "a parameter; its name alone will do where it is none of these words",
    "metric": "a metric's last value, on some rank",
    "metric_min": "a metric's least value, over all ranks",
    "metric_max": "a metric's greatest value, over all ranks",
    "tag": "a tag or fact, of the execution or of its run",
}
"""Before a dot and a name; the name in double quotes where it has blanks and the like."""


def condition_of(name: str) -> Condition:
    """Return the field that a filter names."""
    if name in CONDITIONS:
        return CONDITIONS[name]
    group, _, rest = name.partition(".")
    if group not in GROUPS:
        return _Param(_plain(name))
    rest = _plain(rest)
    if group == "param":
        return _Param(rest)
    return _Fact(rest) if group == "tag" else _Metric(rest, group)


def _plain(name: str) -> str:
    """Return a name without the quotes that parts of it may be written in."""
    return name.replace('"', "")


def has_text(column: str, pattern: str) -> str:
    """Return the condition that a text has another one in it; in a quarter of instr's time."""
    return f"{column} LIKE {pattern} ESCAPE '\\'"


def pattern_of(text: str) -> str:
    """Return what a text with this one in it is like; see `has_text`."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


def _compared(column: str, operator: str, value: Any, binder: Binder) -> str:
    """Compare a column with a value of its own type."""
    if operator == "~":
        return has_text(column, binder.bind(pattern_of(value)))
    return f"{column} {operator} {binder.bind(value)}"


def _typed(row: str, operator: str, value: Any, binder: Binder) -> str:
    """Compare a recorded value, which has its type beside it, with a value."""
    kind = f"{row}.value_type"
    # With a plus, SQLite does not look for the value among those of all executions.
    column = f"{row}.value" if binder.by_index else f"+{row}.value"
    if operator == "~":
        return f"{kind} IN ('str', 'json') AND {_compared(column, operator, value, binder)}"
    if value is None or isinstance(value, bool):
        word = "null" if value is None else "bool"
        same = f"{kind} = '{word}'" + ("" if value is None else f" AND {column} = {int(value)}")
        return f"NOT ({same})" if operator == "!=" else same
    # NaN is kept as a text; nothing is less than, equal to or greater than it.
    types = "IN ('str')" if isinstance(value, str) else f"IN ('int', 'float') AND {column} <> 'NaN'"
    compared = _compared(column, operator, value, binder)
    return f"{kind} {types} AND {compared}"


def has_fact(condition: str, binder: Binder) -> str:
    """Return the condition that an execution or its run has such a tag or fact, a row `f`."""
    if not binder.by_index:
        own = f"f.subject IN (e.execution, r.run) AND {condition}"
        return _there_is(f"fact AS f WHERE {own}")
    return f"""e.id IN (
        SELECT x.id FROM fact AS f CROSS JOIN execution AS x ON x.execution = f.subject
        WHERE {condition}
        UNION ALL
        SELECT x.id FROM fact AS f CROSS JOIN run AS q ON q.run = f.subject
        CROSS JOIN execution AS x ON x.run_id = q.id
        WHERE {condition})"""  # noqa: S608 - no text of a filter


def _there_is(rows: str) -> str:
    """
    Return the condition that there is such a row, to decide on one execution after the other.

    In place of EXISTS, for which PostgreSQL would first look for it among all executions.
    """
    return f"(SELECT 1 FROM {rows} LIMIT 1) IS NOT NULL"  # noqa: S608 - no text of a filter
