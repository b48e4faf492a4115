"""
Outputs into the cache of their DVC repository, and to its remote: by whoever has the repository.

DVC lets one process work in a repository and refuses all others, so ranks that called it at once
would lose outputs. Here each leaves an order in the repository (``.dvc/tmp/cmfd/*.todo``) and waits
for the lock beside it; who gets it carries out all orders of this user that lie there, as few
commands of DVC, and leaves each its answer (``*.done``). What a killed process ordered is done by
the next one.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cmfd.dvc.program import dvc
from cmfd.dvc.repository import Repository
from cmfd.errors import CmfdError, DvcError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ADD, COMMIT = "add", "commit"

_TODO, _DONE = ".todo", ".done"
_BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")
"""What DVC says while another process, started by hand, works in the repository."""

_AGAIN_S = 1.0
_PATIENCE_S = 300.0
_KEPT_S = 86400


class Order(msgspec.Struct, frozen=True):
    """What is to be done with outputs of one process."""

    paths: list[str]
    how: str
    """``add``: as data of its own; ``commit``: as what DVC tracks under this name already."""
    push: bool = False


class _Answer(msgspec.Struct, frozen=True):
    problem: str


def keep(paths: Iterable[str], how: str, *, push: bool = False) -> list[str]:
    """
    Have DVC store files and directories.

    Parameters
    ----------
    paths : iterable of str
        They may lie in several repositories.
    how : str
        ``add`` or ``commit``, as the commands of DVC.
    push : bool
        Send them to the remote, too.

    Returns
    -------
    list of str
        What went wrong, with what; empty if nothing did.
    """
    problems = []
    orders: dict[str, list[str]] = {}
    for path in paths:
        absolute = os.path.abspath(path)  # noqa: PTH100 - as DVC knows it: links are not resolved
        repository = Repository.around(Path(absolute).parent)
        if repository is None:
            problems.append(f"{path} lies in no DVC repository (dvc init)")
        else:
            orders.setdefault(repository.root, []).append(absolute)
    for root, own in orders.items():
        try:
            problem = _keep(root, Order(own, how, push))
        except (CmfdError, OSError) as error:
            problem = str(error)
        problems += [problem] if problem else []
    return problems


def _keep(root: str, order: Order) -> str:
    box = Path(root, ".dvc", "tmp", "cmfd")
    box.mkdir(parents=True, exist_ok=True)
    todo = box / f"{uuid.uuid4().hex}{_TODO}"
    partial = todo.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(order))
    partial.rename(todo)
    done = todo.with_suffix(_DONE)
    with _locked(box / "lock"):
        if not done.exists():
            _work(root, box)
    answer = msgspec.json.decode(done.read_bytes(), type=_Answer)
    done.unlink()
    return answer.problem


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock; it goes with the process that held it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _work(root: str, box: Path) -> None:
    """Carry out this user's orders, those alike together."""
    orders = sorted(_orders(box), key=lambda one: (one[1].how, one[1].push))
    for (how, push), alike in groupby(orders, key=lambda one: (one[1].how, one[1].push)):
        group = list(alike)
        paths = list(dict.fromkeys(path for _, order in group for path in order.paths))
        problems = _store(root, paths, how, push=push)
        for todo, order in group:
            own = [problems[path] for path in order.paths if path in problems]
            _answer(todo, "; ".join(dict.fromkeys(own)))


def _orders(box: Path) -> Iterator[tuple[Path, Order]]:
    """Yield what this user's processes ordered; forget answers that nobody came for."""
    for path in sorted(box.iterdir()):
        with suppress(OSError, msgspec.MsgspecError):
            found = path.lstat()
            if found.st_uid != os.geteuid():
                continue
            if path.suffix == _TODO:
                yield path, msgspec.json.decode(path.read_bytes(), type=Order)
            elif path.suffix == _DONE and found.st_mtime < time.time() - _KEPT_S:
                path.unlink()


def _answer(todo: Path, problem: str) -> None:
    partial = todo.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(_Answer(problem)))
    partial.rename(todo.with_suffix(_DONE))
    todo.unlink()


def _store(root: str, paths: list[str], how: str, *, push: bool) -> dict[str, str]:
    """Run the commands; return what went wrong with which path."""
    names = [os.path.relpath(path, root) for path in paths]
    words = ["add", "--"] if how == ADD else ["commit", "--force", "--"]
    try:
        problem = _patiently([*words, *names], root)
        if not problem and push:
            problem = _patiently(["push", "--", *names], root)
    except DvcError as error:
        problem = str(error)
    if not problem:
        return {}
    if len(paths) > 1:  # what DVC refuses of one is no reason to lose the others: each alone
        return {
            key: why
            for path in paths for key, why in _store(root, [path], how, push=push).items()
        }  # fmt: skip
    return {paths[0]: f"DVC did not store {names[0]}: {problem}"}


def _patiently(words: list[str], root: str) -> str:
    """Run a command of DVC, again while somebody else's works in the repository."""
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        problem = dvc(words, root)
        if not any(sign in problem for sign in _BUSY) or time.monotonic() > until_s:
            return problem
        time.sleep(_AGAIN_S)
