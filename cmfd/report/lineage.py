"""Lineage as a tree, tables, DOT and Mermaid."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from cmfd.query.lineage import ReachedArtifact
from cmfd.report import units
from cmfd.report.text import Column, Table, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.query.impact import Impact
    from cmfd.query.lineage import Lineage, ReachedExecution

    Node = ReachedArtifact | ReachedExecution

DIGEST_DIGITS = 12
"""Shown to people; JSON has all of them."""


class _Drawn(NamedTuple):
    """What a graph shows of a node."""

    name: str
    label: str
    is_execution: bool


def short_digest(digest: str) -> str:
    """Return a digest to be read: its algorithm, and as much of it as commands take."""
    algorithm, _, rest = digest.partition(":")
    return f"{algorithm}:{rest[:DIGEST_DIGITS]}"


def artifact_label(artifact: ReachedArtifact) -> str:
    """Return an artifact as one reads it: name, kind, beginning of the digest."""
    label = f"{artifact.path} ({artifact.kind}, {short_digest(artifact.digest)})"
    return label + _mark(artifact)


def execution_label(execution: ReachedExecution) -> str:
    """Return an execution as one reads it: stage, beginning of its id, whose, and when."""
    stage = f"{execution.pipeline}.{execution.stage}"
    parts = [units.when(execution.began_ns), execution.user, execution.cluster, execution.status]
    name = f"{stage} {execution.execution[: units.MIN_ID_DIGITS]}"
    return f"{name} ({', '.join(filter(None, parts))}){_mark(execution)}"


def _mark(node: Node) -> str:
    """Return what stands behind a node that is marked as tainted."""
    return "" if node.tainted is None else f" TAINTED: {node.tainted}"


def label_of(node: Node) -> str:
    """Return a node as one reads it."""
    return artifact_label(node) if isinstance(node, ReachedArtifact) else execution_label(node)


def name_of(node: Node) -> str:
    """Return a node's own name: its digest or its id."""
    return node.digest if isinstance(node, ReachedArtifact) else node.execution


def tree_lines(found: Lineage) -> Iterator[str]:
    """
    Yield a line for each node, indented below the one before it on a shortest path.

    Every node is there once; edges that close a circle or a shorter way are in the other forms.
    """
    words = _words(found)
    every: list[Node] = [*found.artifacts, *found.executions]
    below: dict[str | None, list[Node]] = defaultdict(list)
    for node in every:
        below[node.via].append(node)
    waiting: list[tuple[str, str, Node]] = [("", "", node) for node in below[None]]
    while waiting:
        first, rest, node = waiting.pop()
        word = words.get((node.via, name_of(node)), "")
        yield f"{first}{printable(word + label_of(node))}"
        children = below[name_of(node)]
        last = len(children) - 1
        for i in range(last, -1, -1):
            branch, under = ("└─ ", "   ") if i == last else ("├─ ", "│  ")
            waiting.append((rest + branch, rest + under, children[i]))


def _words(found: Lineage) -> dict[tuple[str | None, str], str]:
    """Return what stands before a node in a tree that is not a plain step from the one before."""
    words: dict[tuple[str | None, str], str] = {}
    for edge in found.edges:
        if edge.observed:
            words[edge.execution, edge.digest] = words[edge.digest, edge.execution] = "observed: "
    for one in found.continued:
        how = " after a restart" if one.is_restart else ""
        words[one.execution, one.earlier] = f"continues{how}: "
        words[one.earlier, one.execution] = f"continued{how} by: "
    return words


def lineage_tables(found: Lineage) -> list[Table]:
    """Make a table of executions and one of artifacts, nearest first."""
    tables = [
        _executions(found.executions, "executions"),
        _artifacts(found.artifacts, "artifacts"),
    ]
    return tables + [table for table in (_continued(found), _observed(found)) if table.rows]


def _continued(found: Lineage) -> Table:
    """Make a table of which executions go on from others."""
    short = units.short_ids([one.execution for one in found.executions])
    rows = [
        (short[one.execution], short[one.earlier], "restart of its job" if one.is_restart else "")
        for one in found.continued
    ]
    columns = (Column("execution"), Column("continues"), Column(""))
    return Table(columns, rows, "executions that continue others")


def _observed(found: Lineage) -> Table:
    """Make a table of what was only seen, and not declared."""
    short = units.short_ids([one.execution for one in found.executions])
    rows = [
        (short[one.execution], one.direction, one.path, one.observed)
        for one in found.edges
        if one.observed
    ]
    columns = (Column("execution"), Column(""), Column("artifact"), Column("seen"))
    return Table(columns, rows, "observed, not declared")


def _executions(found: Sequence[ReachedExecution], title: str) -> Table:
    columns = (
        Column("depth", right=True), Column("execution"), Column("stage"), Column("began"),
        Column("user"), Column("cluster"), Column("job"), Column("status"), Column(""),
    )  # fmt: skip
    short = units.short_ids([one.execution for one in found])
    rows = [
        (
            str(one.depth), short[one.execution], f"{one.pipeline}.{one.stage}",
            units.when(one.began_ns), one.user, one.cluster, one.job, one.status,
            _mark(one).strip(),
        )
        for one in found
    ]  # fmt: skip
    return Table(columns, rows, title)


def _artifacts(found: Sequence[ReachedArtifact], title: str) -> Table:
    columns = (
        Column("depth", right=True), Column("artifact"), Column("kind"),
        Column("size", right=True), Column("digest", short=True), Column(""),
    )  # fmt: skip
    rows = [
        (
            str(one.depth), one.path, one.kind, units.size(one.size_bytes), one.digest,
            _mark(one).strip(),
        )
        for one in found
    ]  # fmt: skip
    return Table(columns, rows, title)


def impact_lines(found: Impact) -> Iterator[str]:
    """Yield what a sphere of influence amounts to."""
    executions = units.count(found.n_executions, "execution")
    kinds = ", ".join(units.count(n, kind) for kind, n in found.kinds.items())
    yield printable(
        f"{short_digest(found.start)} reached {executions}" + (f": {kinds}" * bool(kinds))
    )
    runs = units.count(found.n_runs, "run")
    users, nodes = units.count(len(found.users), "user"), units.count(len(found.nodes), "node")
    yield f"in {runs} of {users} on {nodes}"


def impact_tables(found: Impact) -> list[Table]:
    """Make the tables of a sphere of influence."""
    models = [one for one in found.artifacts if one.kind == "model"]
    others = [one for one in found.artifacts if one.kind != "model"]
    return [
        _executions(found.executions, "executions, newest first"),
        _artifacts(models, "models, newest first"),
        _artifacts(others, "other artifacts, newest first"),
        _paths(found),
        _runs(found),
        *(
            Table(
                (Column(kind), Column("executions", right=True), Column("latest")),
                [(one.name, str(one.n_executions), units.when(one.last_ns)) for one in rows],
                f"{kind}s",
            )
            for kind, rows in (
                ("user", found.users), ("pipeline", found.pipelines), ("node", found.nodes)
            )
        ),
    ]  # fmt: skip


def _paths(found: Impact) -> Table:
    """Make a table of the ways to the artifacts, by what made them on the way."""
    rows = [
        (one.path, " > ".join(found.labels[name] for name in found.paths[one.digest]))
        for one in found.artifacts
    ]
    return Table((Column("artifact"), Column("shortest path")), rows, "paths")


def _runs(found: Impact) -> Table:
    columns = (
        Column("run"), Column("job"), Column("cluster"), Column("user"), Column("began"),
        Column("executions", right=True),
    )  # fmt: skip
    short = units.short_ids([one.run for one in found.runs])
    rows = [
        (
            short[one.run], one.job, one.cluster, one.user, units.when(one.began_ns),
            str(one.n_executions),
        )
        for one in found.runs
    ]  # fmt: skip
    more = found.n_runs - len(rows)
    return Table(columns, rows, "runs and jobs" + (f", newest of {found.n_runs}" * bool(more)))


def dot(found: Lineage) -> Iterator[str]:
    """Yield the lines of a graph in Graphviz's language; data flows along its arrows."""
    yield "digraph lineage {"
    yield "  rankdir=LR;"
    for node in _drawn(found):
        shape = "box" if node.is_execution else "ellipse"
        label = json.dumps(printable(node.label), ensure_ascii=False)
        yield f"  {json.dumps(node.name)} [label={label}, shape={shape}];"
    for source, target, is_inside, word in _arrows(found):
        traits = ["style=dashed"] * is_inside + [f"label={json.dumps(word)}"] * bool(word)
        style = f" [{', '.join(traits)}]" if traits else ""
        yield f"  {json.dumps(source)} -> {json.dumps(target)}{style};"
    yield "}"


def mermaid(found: Lineage) -> Iterator[str]:
    """Yield the lines of a flowchart as Markdown pages draw it; data flows along its arrows."""
    yield "flowchart LR"
    numbers = {}
    for number, node in enumerate(_drawn(found)):
        numbers[node.name] = f"n{number}"
        # Mermaid has its own escapes: a number sign, the code point, a semicolon.
        label = "".join(
            char if char.isalnum() or char in " ._-/:,()" else f"#{ord(char)};"
            for char in printable(node.label)
        )
        begin, end = ("[", "]") if node.is_execution else ("([", "])")
        yield f'  n{number}{begin}"{label}"{end}'
    for source, target, is_inside, word in _arrows(found):
        arrow = ("-.->" if is_inside else "-->") + (f"|{word}|" if word else "")
        yield f"  {numbers[source]} {arrow} {numbers[target]}"


def _drawn(found: Lineage) -> Iterator[_Drawn]:
    for artifact in found.artifacts:
        yield _Drawn(artifact.digest, artifact_label(artifact), is_execution=False)
    for execution in found.executions:
        yield _Drawn(execution.execution, execution_label(execution), is_execution=True)


def _arrows(found: Lineage) -> Iterator[tuple[str, str, bool, str]]:
    """Yield (from, to, whether one is in the other, what to say of it), the way that data went."""
    for edge in found.edges:
        word = "observed" if edge.observed else ""
        if edge.direction == "input":
            yield edge.digest, edge.execution, False, word
        else:
            yield edge.execution, edge.digest, False, word
    executions = {one.execution for one in found.executions}
    going_on = {(one.earlier, one.execution) for one in found.continued}
    for earlier, later in sorted(going_on):
        yield earlier, later, False, "continued by"
    for execution in found.executions:
        ends = (execution.via or "", execution.execution)
        if execution.via in executions and not {ends, ends[::-1]} & going_on:
            yield *ends, True, ""
    for part in found.parts:
        yield part.whole, part.digest, True, ""
