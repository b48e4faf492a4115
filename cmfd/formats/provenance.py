"""
W3C PROV: executions as activities, artifacts as entities, users as agents, code as plans.

By PROV-DM (https://www.w3.org/TR/prov-dm/). That something was derived from something is said of
content that one execution read and wrote only by way of that execution: which input went into which
output nobody has told.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from prov.constants import PROV, PROV_LABEL, PROV_TYPE
from prov.identifier import Namespace
from prov.model import Literal, ProvDocument

from cmfd.query.runs import detail

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from prov.identifier import QualifiedName

    from cmfd.query.results import Execution, RunDetail

CMFD = Namespace("cmfd", "urn:cmfd:")
_CODE = ("remote", "branch")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def document(db: sqlite3.Connection, run_ids: Iterable[int]) -> ProvDocument:
    """
    Return runs as a document of PROV.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    run_ids : iterable of int
        The runs' numbers there.
    """
    made = _Document()
    for run_id in run_ids:
        made.add(detail(db, run_id))
    return made.document


class _Document:
    """A document, in which everything is said once."""

    def __init__(self) -> None:
        self.document = ProvDocument()
        self.document.add_namespace(CMFD)
        self._said: set[QualifiedName] = set()

    def add(self, found: RunDetail) -> None:
        """Say a run's executions, what they read and wrote, who ran them and which code."""
        for one in found.executions:
            if one.began_ns is not None:
                self._execution(found, one)
        for artifact in found.artifacts:
            name = self._named("artifact", artifact.digest.replace(":", "."))
            if self._is_new(name):
                self.document.entity(name, {
                    PROV_TYPE: CMFD[artifact.kind],
                    PROV_LABEL: artifact.path,
                    CMFD["digest"]: artifact.digest,
                    **({CMFD["strong"]: artifact.strong} if artifact.strong else {}),
                })  # fmt: skip
            execution = self._named("execution", artifact.execution)
            role = {CMFD["path"]: artifact.path}
            at = _time(artifact.at_ns)
            if artifact.direction == "input":
                self.document.used(execution, name, at, other_attributes=role)
            else:
                self.document.wasGeneratedBy(name, execution, at, other_attributes=role)

    def _execution(self, found: RunDetail, one: Execution) -> None:
        name = self._named("execution", one.execution)
        said: list[tuple[Any, Any]] = [
            (PROV_TYPE, CMFD["Execution"]),
            (PROV_LABEL, f"{one.pipeline}.{one.stage}"),
            (CMFD["run"], one.run),
            (CMFD["job"], found.run.job),
            (CMFD["cluster"], found.run.cluster),
            (CMFD["status"], one.status),
        ]
        said += [
            (self._named("param", param.key), _value(param.value))
            for param in found.params
            if param.execution == one.execution
        ]
        began, ended = _time(one.began_ns), _time(one.ended_ns)
        self.document.activity(name, began, ended, [pair for pair in said if pair[1] != ""])
        user = found.run.user or "unknown"
        agent = self._named("user", user)
        if self._is_new(agent):
            self.document.agent(agent, {PROV_TYPE: PROV["Person"], PROV_LABEL: user})
        self.document.wasAssociatedWith(name, agent, self._code(found, one))
        if one.parent:
            self.document.wasInformedBy(name, self._named("execution", one.parent))

    def _code(self, found: RunDetail, one: Execution) -> QualifiedName | None:
        """Return the commit that ran, as a plan; None if nothing is known of it."""
        code = found.code(one.execution)
        commit = code.get("commit")
        if not isinstance(commit, str):
            return None
        name = self._named("code", commit)
        if self._is_new(name):
            told = [(CMFD[key], code[key]) for key in _CODE if code.get(key)]
            self.document.entity(name, [(PROV_TYPE, PROV["Plan"]), *told])
        return name

    def _is_new(self, name: QualifiedName) -> bool:
        is_new = name not in self._said
        self._said.add(name)
        return is_new

    @staticmethod
    def _named(kind: str, name: str) -> QualifiedName:
        return CMFD[f"{kind}.{quote(name, safe='')}"]


def _time(at_ns: int | None) -> datetime | None:
    return None if at_ns is None else _EPOCH + timedelta(microseconds=at_ns // 1000)


def _value(value: Any) -> Any:
    """Return a parameter's value as PROV takes it: what is none of its types as JSON."""
    if isinstance(value, (bool, int, float, str)):
        return value
    return Literal(json.dumps(value))
