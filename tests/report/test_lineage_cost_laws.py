"""What an artifact cost with its ancestry, against plain Python, on made-up sites."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from support.energy import a_row
from support.graphs import Linked, Made, content, digest, distances, graphs, links
from support.laws import examples
from support.packs import an_id
from support.sites import ASite

from cmfd.query import lineage_cost as cost
from cmfd.query.index import open_index
from cmfd.query.shares import Span, divide, finals, own_share_ns, own_time_ns
from cmfd.query.subject import artifact

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

LAST = 7
"""The artifact that is asked about."""


@contextmanager
def site(
    graph: Sequence[Made], uj: Sequence[int], *, linked: Sequence[Linked] = (), n_runs: int = 0
) -> Iterator[sqlite3.Connection]:
    """
    Make a site: of each execution's energy, half is its own, and half is its run's as a whole.

    With `n_runs`, executions share so many runs; else each has its own.
    """
    rows = content(graph, linked=linked)
    run_of = [i % n_runs if n_runs else i for i in range(len(graph))]
    rows["execution"] = [
        (*row[:3], an_id("run", run_of[i]), *row[4:]) for i, row in enumerate(rows["execution"])
    ]
    rows["energy"] = [
        tuple(a_row(run=run_of[i], execution=execution, bucket=i, uj=part))
        for i, one in enumerate(uj)
        for execution, part in ((i, one // 2), (None, one - one // 2))
    ]
    with tempfile.TemporaryDirectory() as directory:
        made = ASite(Path(directory, "site")).take(rows)
        with open_index(made.path) as db:
            yield db


def spent(db: sqlite3.Connection, number: int, role: str = cost.ANCESTRY) -> Counter[str]:
    """Return the microjoules of each execution that led to an artifact."""
    found = cost.ancestry(db, artifact(db, digest(number)).start)
    names = {one.execution_id: one.execution for one in found.members if one.role == role}
    assert len(found.members) == len({one.execution for one in found.members})
    taken = Counter(dict.fromkeys(names.values(), 0))
    for row in cost.energy(db, found):
        if row.execution_id in names:
            taken[names[row.execution_id]] += row.uj
    return taken


def ancestors(graph: Sequence[Made], number: int, linked: Sequence[Linked] = ()) -> set[int]:
    """Return which executions led to an artifact, by a walk in plain Python."""
    found = distances(graph, ("a", number), down=False, last=len(graph), linked=linked)
    return {one for kind, one in found if kind in "xo"}


def written(graph: Sequence[Made]) -> list[Made]:
    """Return the executions, the last of which writes the artifact that is asked about."""
    return [*graph[:-1], graph[-1]._replace(outputs=graph[-1].outputs | {LAST})]


energies = st.lists(st.integers(0, 10**9), min_size=8, max_size=8)


@settings(max_examples=examples(25), deadline=None)
@given(graphs().map(written), st.just([]) | links(), energies)
def test_the_total_is_the_sum_over_the_distinct_executions(
    graph: list[Made], linked: list[Linked], uj: list[int]
) -> None:
    """However many paths lead to one, through whatever is nested, continued or part of others."""
    uj = uj[: len(graph)]
    with site(graph, uj, linked=linked) as db:
        taken = spent(db, LAST)

    expected = {an_id("exec", i).hex(): uj[i] for i in ancestors(graph, LAST, linked)}
    assert taken == Counter(expected)
    assert taken.total() == sum(expected.values())


@settings(max_examples=examples(15), deadline=None)
@given(graphs().map(written), energies, st.data())
def test_another_path_between_the_same_changes_nothing(
    graph: list[Made], uj: list[int], data: st.DataObject
) -> None:
    """One more of the ancestry reads what another of it wrote: no figure moves."""
    uj = uj[: len(graph)]
    within = sorted(ancestors(graph, LAST))
    reader, writer = (data.draw(st.sampled_from(within)) for _ in range(2))
    wrote = {one for one in graph[writer].outputs if ancestors(graph, one) <= set(within)}
    more = list(graph)
    more[reader] = graph[reader]._replace(inputs=graph[reader].inputs | wrote)

    with site(graph, uj) as db, site(more, uj) as other:
        assert spent(db, LAST) == spent(other, LAST)


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(1, 8), st.integers(1, 4), energies)
def test_executions_of_a_run_share_all_that_it_took(
    n_executions: int, n_runs: int, uj: list[int]
) -> None:
    """What is of no execution alone is shared, to the microjoule: nothing is lost between them."""
    graph = [Made(frozenset(), frozenset({LAST}), None) for _ in range(n_executions)]
    uj = uj[:n_executions]
    with site(graph, uj, n_runs=n_runs) as db:
        assert spent(db, LAST).total() == sum(uj)


@settings(max_examples=examples(15), deadline=None)
@given(graphs(), st.just([]) | links(), energies)
def test_amortised_costs_add_up_to_what_was_spent(
    graph: list[Made], linked: list[Linked], uj: list[int]
) -> None:
    """Of all final artifacts together, each execution that led to any is paid for, and once."""
    uj = uj[: len(graph)]
    numbers = {an_id("exec", i).hex(): i for i in range(len(graph))}
    artifacts = sorted({one for made in graph for one in made.inputs | made.outputs})
    borne: Counter[int] = Counter()
    led: set[int] = set()
    with site(graph, uj, linked=linked) as db:
        for one in artifacts:
            start = artifact(db, digest(one)).start
            found = cost.ancestry(db, start)
            members = {
                member.execution_id: numbers[member.execution]
                for member in found.members
                if member.role == cost.ANCESTRY
            }
            bearers = cost.amortised(db, start.id, members)
            if bearers.is_final:
                led |= set(members.values())
                for row in cost.energy(db, found):
                    if row.execution_id in members:
                        portion = bearers.portions[row.execution_id]
                        borne[members[row.execution_id]] += portion.of(row.uj)

    assert +borne == +Counter({one: uj[one] for one in led})


def test_an_intermediate_bears_what_those_made_from_it_bear() -> None:
    """A model, tuned into three: all of its training, and nothing of what tunes a fourth."""
    graph = [
        Made(frozenset(), frozenset({0}), None),  # data
        Made(frozenset({0}), frozenset({1}), None),  # base model
        *(Made(frozenset({1}), frozenset({i}), None) for i in (2, 3, 4)),
        Made(frozenset({0}), frozenset({5}), None),  # another, from the same data
    ]
    with site(graph, [100] * len(graph)) as db:
        found = {
            number: cost.amortised(db, artifact(db, digest(number)).start.id, [1, 2])
            for number in (1, 2)
        }

    base, tuned = found[1], found[2]
    assert not base.is_final
    assert tuned.is_final
    shares = {number: [one.of(1200) for one in each.portions.values()]
              for number, each in found.items()}  # fmt: skip
    assert shares == {1: [900, 1200], 2: [300, 400]}


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_parts_add_up_to_the_whole(amount: int, weights: list[int]) -> None:
    """Also where nothing weighs anything."""
    parts = divide(amount, weights)

    assert sum(parts) == amount
    assert min(parts) >= 0


def test_time_belongs_to_the_innermost() -> None:
    """Half of an hour within another hour: the outer one has what is left, wherever that lies."""
    spans = {"o": Span(0, 100), "a": Span(10, 30), "b": Span(20, 60), "c": Span(90, 200)}
    own = own_time_ns(spans, {"o": None, "a": "o", "b": "o", "c": "o"})

    assert own == {"o": 10 + 30, "a": 20, "b": 40, "c": 110}


def test_what_is_made_from_each_other_ends_together() -> None:
    """A checkpoint written again and again with the same content is no dead end."""
    assert finals({1: {1, 2, 3}, 2: {2, 3}, 3: {2, 3}, 4: {4}}) == {2, 3, 4}


@given(
    st.dictionaries(
        st.integers(0, 6),
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.none() | st.integers(0, 6)),
        max_size=6,
    )
)
def test_every_moment_is_given_out_once(executions: dict[int, tuple[int, int, int | None]]) -> None:
    """Whoever is nested in whom, as a job says: all that ran at some time, and no more."""
    spans = {name: Span(began, began + length) for name, (began, length, _) in executions.items()}
    own = own_share_ns(spans, {name: parent for name, (_, _, parent) in executions.items()})
    moments = {at for span in spans.values() for at in range(span.began_ns, span.ended_ns)}
    assert sum(own.values()) == len(moments)
    assert all(own[name] <= span.ended_ns - span.began_ns for name, span in spans.items())
