"""Made-up sites of artifacts and executions, and the answers that a graph in plain Python gives."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st
from support.packs import Content, an_id, small_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T0_NS = 1_700_000_000_000_000_000


class Made(NamedTuple):
    """An execution: what it read and wrote, which earlier one it is nested in or goes on from."""

    inputs: frozenset[int]
    outputs: frozenset[int]
    outer: int | None
    goes_on_from: int | None = None


class Linked(NamedTuple):
    """Content that is part of other content (``contains``), or the same."""

    whole: int
    relation: str
    part: int


_some = st.frozensets(st.integers(0, 7), max_size=3)


@st.composite
def graphs(draw: st.DrawFn) -> list[Made]:
    """Draw executions in the order they began: circles, shared content and nesting included."""
    n_executions = draw(st.integers(1, 8))
    return [
        Made(
            draw(_some), draw(_some), *((draw(st.none() | st.integers(0, i - 1))) for _ in range(2))
        )
        if i
        else Made(draw(_some), draw(_some), None)
        for i in range(n_executions)
    ]


def links() -> st.SearchStrategy[list[Linked]]:
    """Draw which artifacts are parts of others: nested, in several, in circles, in themselves."""
    some = st.integers(0, 7)
    relation = st.sampled_from(("contains", "contains", "same"))
    return st.lists(st.builds(Linked, some, relation, some), max_size=8, unique=True)


def digest(number: int) -> str:
    """Return the digest of the `number`-th artifact."""
    return f"md5:{number:032x}"


def content(
    graph: Sequence[Made], *, users: Sequence[str] = ("ann", "bob"), linked: Sequence[Linked] = ()
) -> Content:
    """Return a pack's rows: each execution in a run of its own, of users in turn."""
    rows: Content = {}
    for number, made in enumerate(graph):
        for table, some in small_run(number, n_ranks=1, n_params=0, n_chunks=0).items():
            if table not in {"artifact", "event", "execution", "run"}:
                rows.setdefault(table, []).extend(some)
        run, execution, origin = an_id("run", number), an_id("exec", number), an_id("proc", 1)
        outer = None if made.outer is None else an_id("exec", made.outer)
        at_ns = T0_NS + number
        rows.setdefault("run", []).append(
            (run, at_ns, origin, 1000, "c", str(number), 0, users[number % len(users)], "", "true",
             "/home")
        )  # fmt: skip
        rows.setdefault("execution", []).append(
            (execution, at_ns, origin, run, outer, "p", f"s{number}", "0")
        )
        if made.goes_on_from is not None:
            earlier = an_id("exec", made.goes_on_from).hex()
            row = (execution, "continues", at_ns, origin, "str", earlier)
            rows.setdefault("fact", []).append(row)
        rows.setdefault("artifact", [])
        for direction, artifacts in (("input", made.inputs), ("output", made.outputs)):
            for one in artifacts:
                rows.setdefault("event", []).append(
                    (execution, direction, digest(one), f"a{one}", at_ns, origin, "dataset", "n1",
                     f"/home/a{one}", 0, "", "")
                )  # fmt: skip
    used = {one for made in graph for one in made.inputs | made.outputs}
    rows["link"] = [
        (digest(one.whole), one.relation, digest(one.part), f"/{one.part}", T0_NS, an_id("proc", 1))
        for one in linked
    ]
    rows["artifact"] = [(digest(one), "", 10, 1) for one in sorted(used)]
    return rows


Node = tuple[str, int]
"""
A kind and a number.

``a`` (all of an artifact), ``p`` (only a part of it), ``x`` (execution) or ``o`` (execution around
one that was reached).
"""


def _next(
    graph: Sequence[Made], linked: Sequence[Linked], node: Node, *, down: bool
) -> Iterator[tuple[Node, int]]:
    """Yield what a node leads to, and how many executions farther that is."""
    kind, number = node
    if kind in "ap":
        yield from ((other, 0) for other in _alike(linked, node))
        for i, made in enumerate(graph):
            if number in (made.inputs if down else made.outputs):
                yield ("x", i), 1
        return
    made = graph[number]
    for one in made.outputs if down else made.inputs:
        yield ("a", one), 0
    if made.outer is not None:
        yield ("o", made.outer), 0
    for i, other in enumerate(graph):
        if (other.goes_on_from == number) if down else (made.goes_on_from == i):
            yield ("x", i), 1
    if kind == "x":
        yield from ((("x", i), 0) for i, inner in enumerate(graph) if inner.outer == number)


def _alike(linked: Sequence[Linked], node: Node) -> Iterator[Node]:
    """Yield which artifacts are reached with one: all its parts if all of it is, and its wholes."""
    kind, number = node
    for one in linked:
        if one.relation == "same" and number in (one.whole, one.part):
            yield kind, one.whole
            yield kind, one.part
        elif number == one.part:
            yield "p", one.whole
        if one.relation == "contains" and number == one.whole and kind == "a":
            yield "a", one.part


def distances(
    graph: Sequence[Made], start: Node, *, down: bool, last: int, linked: Sequence[Linked] = ()
) -> dict[Node, int]:
    """Return how far all that can be reached along the first `last` executions is."""
    found = {start: 0}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for other, far in _next(graph, linked, node, down=down):
            if other[0] in "xo" and other[1] >= last:
                continue
            if found[node] + far < found.get(other, 1 << 30):
                found[other] = found[node] + far
                (waiting.append if far else waiting.appendleft)(other)
    return found
