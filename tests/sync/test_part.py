"""A part of a site: what is chosen, what belongs to it, and what is left out."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.exchange import MakeSite, digest, packs_of, to
from support.laws import examples
from support.packs import an_id, small_run, write_pack

from cmfd.errors import FilterError
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import Site, init_site
from cmfd.merge.notes import say
from cmfd.merge.reindex import reindex
from cmfd.model import NoteKind
from cmfd.query.index import open_index
from cmfd.sync.exchange import pull, push
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import Wanted
from cmfd.sync.view import ALL_LEVELS, Choice, part_of

if TYPE_CHECKING:
    from pathlib import Path

N_RUNS = 6


def record(site: Site, number: int, *inputs: int, stage: str = "train", user: str = "ann") -> None:
    """Merge a run that read what other runs wrote."""
    content = small_run(number)
    (run,) = content["run"]
    content["run"] = [(*run[:7], user, *run[8:])]
    (execution,) = content["execution"]
    content["execution"] = [(*execution[:6], stage, *execution[7:])]
    (output,) = content["event"]
    content["event"] += [(output[0], "input", f"md5:{one:032x}", *output[3:]) for one in inputs]
    content["artifact"] += [(f"md5:{one:032x}", "", 10, 1) for one in inputs]
    packs = site.path.parent / f"part-{site.path.name}-{number}"
    write_pack(packs, content)
    merge_site(site.path, [packs])


@pytest.fixture
def hub(make_site: MakeSite) -> Site:
    """Return a site: 0 -> 1 -> 2 -> 3, and 4 and 5 by themselves, of bob."""
    site = make_site("hub")
    record(site, 0, stage="generate")
    record(site, 1, 0, stage="prepare")
    record(site, 2, 1)
    record(site, 3, 2, stage="evaluate")
    record(site, 4, user="bob")
    record(site, 5, stage="generate", user="bob")
    return site


def runs_of(site: Site) -> set[int]:
    with open_index(site.path) as db:
        found = {row[0] for row in db.execute("SELECT run FROM run WHERE at_ns IS NOT NULL")}
    return {number for number in range(N_RUNS) if an_id("run", number) in found}


@pytest.mark.parametrize(
    ("choice", "numbers", "left_out"),
    [
        (Choice(stage="evaluate"), {3}, 1),
        (Choice(stage="evaluate", depth=1), {2, 3}, 1),
        (Choice(stage="evaluate", depth=2), {1, 2, 3}, 1),
        (Choice(stage="evaluate", depth=ALL_LEVELS), {0, 1, 2, 3}, 0),
        (Choice(user="bob"), {4, 5}, 0),
        (Choice(user="bob", stage="generate"), {5}, 0),
        (Choice(pipeline="digits", where='stage in ("prepare", "evaluate")'), {1, 3}, 2),
        (Choice(artifact=f"md5:{1:032x}"), {1, 2}, 1),
        (Choice(since_ns=1_700_000_003 * 10**9), {3, 4, 5}, 1),
        (Choice(where='user = "nobody"'), set(), 0),
    ],
)
def test_a_part_is_what_was_chosen_and_what_it_came_from(
    make_site: MakeSite, hub: Site, choice: Choice, numbers: set[int], left_out: int
) -> None:
    """To the depth that was asked for; how much is one step further is said."""
    mine = make_site("mine")
    done = pull(mine, to(hub), SitePeer(hub), wanted=choice.wanted())
    assert runs_of(mine) == numbers
    assert done.part is not None
    assert done.part.n_runs + done.part.n_ancestors == len(numbers)
    assert done.part.n_left_out == left_out


@pytest.mark.slow
def test_a_part_is_widened_and_nothing_comes_twice(make_site: MakeSite, hub: Site) -> None:
    """To the whole in the end; pushing a part back moves nothing and removes nothing."""
    mine = make_site("mine")
    before = digest(hub)
    pull(mine, to(hub), SitePeer(hub), wanted=Wanted('stage = "evaluate"', 0))
    assert push(mine, to(hub), SitePeer(hub)).n_packs == 0
    assert pull(mine, to(hub), SitePeer(hub), wanted=Wanted('stage = "evaluate"', 1)).n_packs == 1
    assert pull(mine, to(hub), SitePeer(hub)).n_packs == N_RUNS - 2
    assert digest(mine) == digest(hub) == before


def test_a_part_is_pushed(make_site: MakeSite, hub: Site) -> None:
    """What is not of it stays here until it is pushed."""
    public = make_site("public")
    done = push(hub, to(public), SitePeer(public), wanted=Choice(user="bob").wanted())
    assert done.n_packs == 2
    assert runs_of(public) == {4, 5}
    push(hub, to(public), SitePeer(public))
    assert digest(public) == digest(hub)


def test_corrections_go_along_with_every_part(make_site: MakeSite, hub: Site) -> None:
    """Who has a part must know that something of it is tainted."""
    say(hub.path, NoteKind.TAINTED, {f"md5:{0:032x}": "bad sensor"})
    merge_site(hub.path)
    mine = make_site("mine")
    pull(mine, to(hub), SitePeer(hub), wanted=Wanted('stage = "generate"', 0))
    with open_index(mine.path) as db:
        assert db.execute("SELECT text FROM note").fetchall() == [("bad sensor",)]


def test_a_part_is_found_in_an_index_that_was_made_anew(make_site: MakeSite, hub: Site) -> None:
    """Packs have other numbers then."""
    reindex(hub.path)
    mine = make_site("mine")
    pull(mine, to(hub), SitePeer(hub), wanted=Choice(user="bob").wanted())
    assert runs_of(mine) == {4, 5}


def test_all_packs_of_a_run_belong_to_its_part(make_site: MakeSite, hub: Site) -> None:
    """A checkpoint, what came later, and facts that were joined."""
    late = packs_of(hub.path.parent / "late", 3, sealed_ns=77)
    facts = {"fact": [(an_id("exec", 3), "late", 1, an_id("proc", 9), "str", "fact")]}
    write_pack(late, facts, sealed_ns=78)
    merge_site(hub.path, [late])
    mine = make_site("mine")
    done = pull(mine, to(hub), SitePeer(hub), wanted=Wanted('job = "3"', 0))
    assert done.n_packs == 3
    with open_index(mine.path) as db:
        assert db.execute("SELECT value FROM fact").fetchall() == [("fact",)]


def test_what_a_part_of_an_input_came_from_is_counted_as_left_out(make_site: MakeSite) -> None:
    """As it is taken, if one goes a step up."""
    hub = make_site("hub")
    record(hub, 0)
    record(hub, 1, 77)
    said = (1, an_id("proc", 0))
    links = {"link": [(f"md5:{77:032x}", "contains", f"md5:{0:032x}", "x", *said)]}
    write_pack(hub.path.parent / "links", links)
    merge_site(hub.path, [hub.path.parent / "links"])
    told = SitePeer(hub).part(Wanted('job = "1"', 0))
    assert (told.n_runs, told.n_ancestors, told.n_left_out) == (1, 0, 1)
    told = SitePeer(hub).part(Wanted('job = "1"', 1))
    assert (told.n_runs, told.n_ancestors, told.n_left_out) == (1, 1, 0)


@pytest.mark.parametrize(
    "where",
    ['job = "' + "x" * (1 << 17) + '"', "not " * 5000 + "tag.x", 'job = "\\x"', 'job = "a\0b"'],
)
def test_no_filter_from_elsewhere_ends_in_anything_but_an_answer(hub: Site, where: str) -> None:
    """However long, deep or odd it is."""
    with suppress(FilterError):
        assert SitePeer(hub).part(Wanted(where, 0)).n_runs == 0


def test_what_cannot_be_understood_is_told_before_anything_moves(
    make_site: MakeSite, hub: Site
) -> None:
    """As by `cmfd search`."""
    mine = make_site("mine")
    with pytest.raises(FilterError):
        pull(mine, to(hub), SitePeer(hub), wanted=Wanted("stage = ", 0))


TEXTS = st.text(max_size=8)


@pytest.mark.slow
@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(TEXTS, TEXTS, TEXTS)
def test_names_are_only_names(tmp_path: Path, pipeline: str, user: str, artifact: str) -> None:
    """Whatever is in them, it is no part of the filter's language."""
    site = init_site(tmp_path / "site")
    merge_site(site.path)
    wanted = Choice(pipeline=pipeline, user=user, artifact=artifact).wanted()
    if wanted is not None:
        assert SitePeer(site).part(wanted).n_runs == 0


def fill(site: Site, n_others: int) -> None:
    """Make an index of 20 runs of a project, one from another, scattered among others' runs."""
    merge_site(site.path)
    with closing(sqlite3.connect(site.index)) as db:
        rows = [(i, i % (n_others // 20) == 1) for i in range(1, n_others + 1)]
        db.execute("CREATE TEMP TABLE x (i INTEGER PRIMARY KEY, mine INTEGER)")
        db.executemany("INSERT INTO x VALUES (?, ?)", rows)
        for statement in FILL:
            db.execute(statement)
        db.commit()


FILL = (
    """INSERT INTO run SELECT i, randomblob(16), i, zeroblob(16), 1, 'c', i, 0,
        iif(mine, 'ann', 'u' || (i % 97)), '', '', '' FROM x""",
    """INSERT INTO execution SELECT i, randomblob(16), i * 1000000000, zeroblob(16), i, NULL,
        iif(mine, 'heat', 'p' || (i % 97)), 'train', '0' FROM x""",
    "INSERT INTO artifact SELECT i, 'md5:' || i, '', 1, 1 FROM x",
    """INSERT INTO event
    SELECT i, 'output', i, '', 1, zeroblob(16), '', '', '', 0, '', '' FROM x""",
    """INSERT INTO event
    SELECT i, 'input', before, '', 1, zeroblob(16), '', '', '', 0, '', '' FROM (
        SELECT i, lag(i) OVER (PARTITION BY mine ORDER BY i) AS before FROM x
    ) WHERE before IS NOT NULL""",
    "INSERT INTO pack SELECT i, i, 1, 'c', 'n', i, 1, i, '' FROM x",
    "INSERT INTO pack_run SELECT i, i FROM x",
)


def n_steps(site: Site, where: str, depth: int) -> int:
    """Count the steps of SQLite's machine, by tens, that a part takes."""
    n_tens = 0

    def count() -> None:
        nonlocal n_tens
        n_tens += 1

    with open_index(site.path) as db:
        db.set_progress_handler(count, 10)
        assert part_of(db, Wanted(where, depth)).entries
    return n_tens


@pytest.mark.sqlite
def test_what_a_part_takes_is_that_of_the_part(make_site: MakeSite) -> None:
    """Not of the site: with five times as many runs of others, SQLite has as much to do."""
    few, many = make_site("few"), make_site("many")
    fill(few, 400)
    fill(many, 2000)
    for few_where, many_where, depth in (
        ('pipeline = "heat"', 'pipeline = "heat"', 0),
        ('pipeline = "heat" and user = "ann"', 'pipeline = "heat" and user = "ann"', 2),
        ('output = "md5:381"', 'output = "md5:1901"', ALL_LEVELS),
        ('began >= "1970-01-01T00:06:20Z"', 'began >= "1970-01-01T00:33:00Z"', 1),
    ):
        assert n_steps(many, many_where, depth) < 1.3 * n_steps(few, few_where, depth), few_where
