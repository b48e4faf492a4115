"""
W3C PROV: executions as activities, artifacts as entities, users as agents, code as plans.

By PROV-DM (https://www.w3.org/TR/prov-dm/). That something was derived from something is said of
content that one execution read and wrote only by way of that execution: which input went into which
output nobody has told.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import count
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from prov.constants import PROV, PROV_LABEL, PROV_TYPE
from prov.identifier import Namespace
from prov.model import Literal as ProvLiteral
from prov.model import ProvDocument

from cmfd.query.runs import detail

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from prov.identifier import QualifiedName

    from cmfd.query.results import Execution, RunDetail

CMFD = Namespace("cmfd", "urn:cmfd:")
_CODE = ("remote", "branch")
_LAST = "\nendDocument"
_BLOCK_CHARS = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def written(
    db: sqlite3.Connection, run_ids: Iterable[int], kind: Literal["json", "provn"]
) -> Iterator[bytes]:
    """
    Yield the parts of a document with runs.

    Only one run is in memory at a time, and 16 bytes of the name of each thing that was said.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    run_ids : iterable of int
        The runs' numbers there.
    kind : str
        PROV-JSON or PROV-N.
    """
    said = _Said()
    documents = (_Document(said).add(detail(db, run_id)) for run_id in run_ids)
    for part in (_as_json if kind == "json" else _as_provn)(documents):
        yield part.encode()


def _as_provn(documents: Iterable[ProvDocument]) -> Iterator[str]:
    """Yield one document: all statements between the first lines and the last one of each."""
    head = _empty().get_provn().removesuffix(_LAST)
    yield head
    for document in documents:
        yield document.get_provn().removeprefix(head).removesuffix(_LAST)
    yield f"{_LAST}\n"


def _as_json(documents: Iterable[ProvDocument]) -> Iterator[str]:
    """Yield one document: it is sorted by kinds of statements, of which each waits in a file."""
    with ExitStack() as stack:
        files: dict[str, IO[str]] = {}
        numbers = count(1)
        for document in documents:
            kinds = _sections(document)
            del kinds["prefix"]
            for kind in kinds:
                if kind not in files:
                    files[kind] = stack.enter_context(TemporaryFile("w+", encoding="utf-8"))
                for name, statement in kinds[kind].items():
                    # Those without a name of their own are numbered, in each document from 1.
                    key = f"_:id{next(numbers)}" if name.startswith("_:") else name
                    comma = ", " if files[kind].tell() else ""
                    files[kind].write(f"{comma}{json.dumps(key)}: {json.dumps(statement)}")
        yield json.dumps(_sections(_empty())).removesuffix("}")
        for kind, file in files.items():
            yield f", {json.dumps(kind)}: {{"
            file.seek(0)
            yield from iter(partial(file.read, _BLOCK_CHARS), "")
            yield "}"
        yield "}\n"


def _sections(document: ProvDocument) -> dict[str, dict[str, Any]]:
    """Return PROV-JSON: statements by their kinds and names, and prefixes."""
    found: dict[str, dict[str, Any]] = json.loads(str(document.serialize(format="json")))
    return found


def _empty() -> ProvDocument:
    made = ProvDocument()
    made.add_namespace(CMFD)
    return made


class _Said:
    """What was said, so that it is said once."""

    def __init__(self) -> None:
        self._names: set[bytes] = set()

    def is_new(self, name: QualifiedName) -> bool:
        """Tell whether something has not been said; from now on it has."""
        known = hashlib.blake2b(name.localpart.encode(), digest_size=16).digest()
        is_new = known not in self._names
        self._names.add(known)
        return is_new


class _Document:
    """A document of a run, without what others have said."""

    def __init__(self, said: _Said) -> None:
        self.document = _empty()
        self._is_new = said.is_new

    def add(self, found: RunDetail) -> ProvDocument:
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
        return self.document

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

    @staticmethod
    def _named(kind: str, name: str) -> QualifiedName:
        return CMFD[f"{kind}.{quote(name, safe='')}"]


def _time(at_ns: int | None) -> datetime | None:
    return None if at_ns is None else _EPOCH + timedelta(microseconds=at_ns // 1000)


def _value(value: Any) -> Any:
    """Return a parameter's value as PROV takes it: what is none of its types as JSON."""
    if isinstance(value, (bool, int, float, str)):
        return value
    return ProvLiteral(json.dumps(value))
