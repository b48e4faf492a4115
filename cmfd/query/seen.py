"""Which executions already did exactly what is about to be done."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.content.files import hash_path
from cmfd.errors import NotFoundError
from cmfd.query.index import object_of, value_of
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

_SAME_CODE = ("commit", "diff_sha256", "untracked_sha256", "submodules")


class Intent(NamedTuple):
    """What is about to be done."""

    pipeline: str
    stage: str
    argv: Sequence[str]
    """The command, secrets masked as where it is recorded."""
    code: Mapping[str, Any] | None
    """From `cmfd.client.git.describe_code`; None: any code will do."""
    inputs: Sequence[str]
    """Paths."""
    params: Sequence[tuple[str, Any]]


def seen(db: sqlite3.Connection, intent: Intent) -> list[str]:
    """
    Return the ids of completed executions that did exactly this, latest first.

    The same command as the same stage, on the same code, with all these inputs (by content) and
    parameters; what else an execution read or set by itself follows from these.

    Raises
    ------
    NotFoundError
        An input cannot be read.
    """
    wanted = {_digest(path) for path in intent.inputs}
    asked = {"pipeline": intent.pipeline, "stage": intent.stage}
    found = []
    for number, execution, command, text in db.execute(_sql("of_stage"), asked).fetchall():
        document = object_of(text)
        if (
            _is_same_command(intent.argv, command, document.get("command"))
            and _is_same_code(intent.code, document.get("code"))
            and wanted <= {row[0] for row in db.execute(_sql("inputs"), {"id": number})}
            and _has_params(db, number, intent.params)
        ):
            found.append(execution)
    return found


def _is_same_command(argv: Sequence[str], command: str, section: Any) -> bool:
    """Tell by what its run was started with, or by its own arguments, without a Python before."""
    if command == shlex.join(argv):
        return True
    own = section.get("argv") if isinstance(section, dict) else None
    if not own or not isinstance(own, list):
        return False
    is_python = PurePath(argv[0]).name.startswith("python")
    return own == list(argv) or (is_python and own == list(argv[-len(own) :]))


def _digest(path: str) -> str:
    hashed = hash_path(path)
    if hashed.problem:
        raise NotFoundError(f"input {path} cannot be read: {hashed.problem}.")
    return hashed.digest


def _is_same_code(now: Mapping[str, Any] | None, then: Any) -> bool:
    if now is None:
        return True
    if not isinstance(then, dict) or not then.get("commit"):
        return False
    return all(now.get(key) == then.get(key) for key in _SAME_CODE)


def _has_params(
    db: sqlite3.Connection, number: int, params: Sequence[tuple[str, Any]]
) -> bool:  # fmt: skip
    known: dict[str, list[Any]] = {}
    for key, value_type, value in db.execute(_sql("params"), {"id": number}):
        known.setdefault(key, []).append(value_of(value_type, value))
    # 1, 1.0 and true are equal in Python, and different parameters.
    return all([repr(value)] == list(map(repr, known.get(key, ()))) for key, value in params)


def _sql(name: str) -> str:
    return named("query/repro")[name]
