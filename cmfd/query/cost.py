"""
CPU time without counting any of it twice.

A wrapper's reading (`cmfd run`) includes the children it waited for, which may be the ranks of its
own execution, and those of executions nested in it; on other nodes it sees nothing. So on each
host, of what wrappers and ranks below one outermost execution report, the larger counts.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

K = TypeVar("K", str, bytes)
"""How executions are named: as text, or by their ids as they are."""


class Usage(NamedTuple):
    """CPU time of processes of an execution on a host."""

    execution: str | bytes
    host: str
    wrapper_ns: int
    other_ns: int


def outermost(parents: Mapping[K, K | None]) -> dict[K, K]:
    """
    Return, for each execution, its farthest ancestor among them (itself, if it has none).

    Parameters
    ----------
    parents : mapping
        Of each execution; a parent that is no key is outside.
    """
    return {
        execution: _top(execution, parents) if parent in parents else execution
        for execution, parent in parents.items()
    }


def _top(execution: K, parents: Mapping[K, K | None]) -> K:
    seen = {execution}
    while (parent := parents[execution]) in parents and parent not in seen:
        assert parent is not None  # None is no key of `parents`
        seen.add(parent)  # what a job says of its parents might be a circle
        execution = parent
    return execution


def cpu_ns(parents: Mapping[K, K | None], usages: Iterable[Usage]) -> int:
    """
    Return the CPU time of executions, nested ones included once.

    Parameters
    ----------
    parents : mapping
        The executions, each with its parent.
    usages : iterable of Usage
        Of their processes.
    """
    top: Mapping[Any, Any] = outermost(parents)
    wrappers: dict[tuple[Any, str], int] = defaultdict(int)
    others: dict[tuple[Any, str], int] = defaultdict(int)
    for execution, host, wrapper_ns, other_ns in usages:
        key = (top[execution], host)
        wrappers[key] += wrapper_ns
        others[key] += other_ns
    return sum(max(wrappers[key], others[key]) for key in wrappers)
