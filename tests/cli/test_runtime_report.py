"""`cmfd report runtime`: nothing counted twice, and who kept whom waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.packs import Content, an_id
from support.sites import BEGIN_NS, SECOND_NS, from_json

from cmfd.query.cost import Usage, cpu_ns, outermost

if TYPE_CHECKING:
    from support.sites import ASite, Invoke


ORIGIN = an_id("proc", 0)


class Part(NamedTuple):
    """A process: its role, rank and host, and for how long it was busy."""

    role: str
    rank: int
    host: str
    busy_s: float


def a_job(
    number: int, busy_s: list[float], *, wrapper_s: float | None = None, hosts: int = 1
) -> Content:
    """Return a run of 10 s whose ranks were busy for so long, round robin on hosts."""
    run, execution, began_ns = an_id("run", number), an_id("exec", number), BEGIN_NS + number
    content: Content = {
        "run": [(run, began_ns, ORIGIN, 1000, "c", str(number), 0, "ann", "", "true", "/")],
        "run_end": [(run, began_ns + 10 * SECOND_NS, ORIGIN, "completed", 0, None)],
        "execution": [(execution, began_ns, ORIGIN, run, None, "digits", "train", "")],
        "execution_end": [(execution, began_ns + 9 * SECOND_NS, ORIGIN, "completed", 0, None)],
        "process": [],
        "process_state": [],
    }
    parts = [Part("rank", rank, f"n{rank % hosts}", busy) for rank, busy in enumerate(busy_s)]
    parts += [Part("wrapper", 0, "n0", wrapper_s)] if wrapper_s is not None else []
    for part in parts:
        join(content, execution, part)
    return content


def join(content: Content, execution: bytes, part: Part) -> None:
    """Have a process take part in an execution."""
    instance = execution[8:] + len(content["process"]).to_bytes(8, "big")
    content["process"].append(
        (execution, instance, BEGIN_NS, instance, part.rank, 1, 0, part.host, 1, part.role)
    )
    content["process_state"].append(
        (execution, instance, BEGIN_NS + 9 * SECOND_NS, instance, "completed", 0, None,
         round(part.busy_s * SECOND_NS), 0, 1, 0)
    )  # fmt: skip


def report(invoke: Invoke, *words: str) -> Any:
    """Return the report as JSON."""
    return from_json(invoke("report", "runtime", *words, "--json"))["runtimes"]


def test_efficiency_is_cpu_time_over_wall_time_and_ranks(site: ASite, invoke: Invoke) -> None:
    """Two ranks that were busy for half of ten seconds: 50 %."""
    site.take(a_job(0, [5.0, 5.0]))
    (row,) = report(invoke)
    assert row["wall_ns"] == 10 * SECOND_NS
    assert row["cpu_ns"] == 10 * SECOND_NS
    assert row["capacity_ns"] == 20 * SECOND_NS
    assert row["efficiency"] == 0.5
    assert row["imbalance"] == 1.0
    assert "50.0 %" in invoke("report", "runtime").stdout


def test_cores_that_were_allotted_count(site: ASite, invoke: Invoke) -> None:
    """Where the batch system said how many cores the job has, those are the capacity."""
    content = a_job(0, [5.0, 5.0])
    content["fact"] = [(an_id("run", 0), "slurm.cpus", BEGIN_NS, ORIGIN, "int", 8)]
    site.take(content)
    assert report(invoke)[0]["capacity_ns"] == 80 * SECOND_NS


def test_a_wrapper_and_its_ranks_are_not_added_up(site: ASite, invoke: Invoke) -> None:
    """What the wrapper waited for includes the ranks of its node, and what they do not say."""
    site.take(a_job(0, [3.0, 3.0], wrapper_s=7.0))
    assert report(invoke)[0]["cpu_ns"] == 7 * SECOND_NS


def test_ranks_on_other_nodes_are_added_to_the_wrapper(site: ASite, invoke: Invoke) -> None:
    """Ranks 0, 2 are on the wrapper's node, 1 and 3 are not: 7 s and 2 times 3 s."""
    site.take(a_job(0, [3.0] * 4, wrapper_s=7.0, hosts=2))
    assert report(invoke)[0]["cpu_ns"] == 13 * SECOND_NS


def test_a_nested_execution_is_part_of_the_outer(site: ASite, invoke: Invoke) -> None:
    """By run it is counted once; by stage it has a line of its own."""
    content = a_job(0, [], wrapper_s=7.0)
    inner, outer = an_id("exec", 50), an_id("exec", 0)
    content["execution"].append(
        (inner, BEGIN_NS, ORIGIN, an_id("run", 0), outer, "digits", "inner", "")
    )
    content["execution_end"].append((inner, BEGIN_NS + SECOND_NS, ORIGIN, "completed", 0, None))
    join(content, inner, Part("rank", 0, "n0", 4.0))
    site.take(content)
    (run,) = report(invoke)
    assert (run["cpu_ns"], run["n_executions"]) == (7 * SECOND_NS, 2)
    stages = {row["stage"]: row for row in report(invoke, "--by", "stage")}
    assert stages["inner"]["cpu_ns"] == 4 * SECOND_NS
    assert stages["inner"]["wall_ns"] == SECOND_NS
    assert stages["train"]["cpu_ns"] == 7 * SECOND_NS
    (pipeline,) = report(invoke, "--by", "pipeline")
    assert pipeline["cpu_ns"] == 7 * SECOND_NS


def test_a_straggler_is_named_by_rank_and_host(site: ASite, invoke: Invoke) -> None:
    """Rank 3 had twice the work: the others waited for it."""
    site.take(a_job(0, [1.0, 1.0, 1.0, 2.0], hosts=4))
    (row,) = report(invoke)
    assert row["imbalance"] == pytest.approx(2 / 1.25)
    (straggler,) = row["stragglers"]
    assert (straggler["rank"], straggler["host"]) == (3, "n3")
    assert straggler["over_mean"] == pytest.approx(1.6)
    assert "n3" in invoke("report", "runtime").stdout


def test_even_ranks_have_no_stragglers(site: ASite, invoke: Invoke) -> None:
    """Small differences are none, and idle ranks are no division by zero."""
    site.take(a_job(0, [1.0, 1.1, 0.9]), a_job(1, [0.0, 0.0]))
    assert [row["stragglers"] for row in report(invoke)] == [[], []]
    assert report(invoke)[0]["imbalance"] is None


@pytest.mark.parametrize(
    ("by", "fields"),
    [
        ("run", {"n_runs": 1, "wall_ns": 10 * SECOND_NS}),
        ("user", {"n_runs": 3, "user": "ann", "wall_ns": 30 * SECOND_NS}),
        ("pipeline", {"n_runs": 3, "pipeline": "digits"}),
        ("stage", {"n_executions": 3, "stage": "train"}),
    ],
)
def test_runs_add_up_by_what_is_asked_for(
    site: ASite, invoke: Invoke, by: str, fields: dict[str, Any]
) -> None:
    """Per run, user, pipeline and stage."""
    site.take(*(a_job(number, [5.0]) for number in range(3)))
    rows = report(invoke, "--by", by)
    assert len(rows) == (3 if by == "run" else 1)
    assert fields.items() <= rows[0].items()


def test_the_report_can_be_narrowed(site: ASite, invoke: Invoke) -> None:
    """To one run, a user, the last days, or so many of the latest runs."""
    site.take(*(a_job(number, [5.0]) for number in range(3)))
    assert [row["run"] for row in report(invoke, "1")] == [an_id("run", 1).hex()]
    assert report(invoke, "--user", "bob") == []
    assert report(invoke, "--days", "1") == []
    assert len(report(invoke, "-n", "2")) == 2


def test_a_run_that_goes_on_counts_until_it_was_last_heard_of(site: ASite, invoke: Invoke) -> None:
    """Without an end, the latest reading of its processes is the time so far."""
    content = a_job(0, [5.0])
    content["run_end"], content["execution_end"] = [], []
    content["process_state"] = [
        (*row[:4], "running", None, None, *row[7:]) for row in content["process_state"]
    ]
    site.take(content)
    assert report(invoke)[0]["wall_ns"] == 9 * SECOND_NS


names = st.sampled_from("abcdef")


@given(parents=st.dictionaries(names, st.none() | names), usages=st.data())
def test_cpu_time_is_never_counted_twice_nor_lost(
    parents: dict[str, str | None], usages: st.DataObject
) -> None:
    """Whatever is nested in what: at least the largest part, at most all parts together."""
    if not parents:
        return
    one = st.builds(
        Usage, st.sampled_from(sorted(parents)), st.sampled_from("xy"), st.integers(0, 100),
        st.integers(0, 100),
    )  # fmt: skip
    drawn = usages.draw(st.lists(one))
    wrappers = sum(usage.wrapper_ns for usage in drawn)
    others = sum(usage.other_ns for usage in drawn)
    assert max(others, wrappers) <= cpu_ns(parents, drawn) <= others + wrappers
    assert set(outermost(parents)) == set(parents)
