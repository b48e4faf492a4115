"""Figures for Prometheus: its own tool finds nothing wrong with them, whatever they are of."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.programs import program
from support.reports import HOSTILE, a_report

from cmfd.energy.presence import NOBODY, Row
from cmfd.energy.readings import Probe
from cmfd.energy.totals import JobLabel, Totals
from cmfd.exposition import Family, Sample, text, write_textfile
from cmfd.report import prometheus

if TYPE_CHECKING:
    from pathlib import Path

RUN, OTHER_RUN = b"r" * 16, b"q" * 16
T0_NS = 1_790_000_000_000_000_000


def check(figures: str) -> None:
    """Have promtool read figures, and say what it does not like of them."""
    done = subprocess.run(
        [program("promtool", "prometheus"), "check", "metrics"],
        input=figures, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), figures


def figures_of(exposed: str) -> dict[str, float]:
    """Return figures by what stands before them."""
    lines = [line for line in exposed.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.mark.parametrize("by", ["user", "stage", "job", "run"])
def test_promtool_likes_reports(by: str) -> None:
    """Groups by whatever, job cards, and names of users with quotes, lines and backslashes."""
    name = HOSTILE + '\n"} 5\\'
    for report in (a_report(by=by, name=name), a_report(cards=2, name=name)):
        check(prometheus.render(report))


def test_a_report_says_what_the_model_says() -> None:
    """Joules, grams and seconds, by group; what Prometheus calls a job is no batch job."""
    found = figures_of(prometheus.render(a_report()))

    assert found['cmfd_report_energy_joules{user="bob",component="cpu",grade="B"}'] == 5.225e6
    assert found['cmfd_report_emissions_grams{user="bob",kind="operational"}'] == 855.0
    assert found['cmfd_report_runs{user="bob",state="TIMEOUT"}'] == 2
    assert found['cmfd_report_node_energy_joules{node="node001",component="cpu",source="rapl"}']
    assert "job_id=" in prometheus.render(a_report(by="job"))
    assert " job=" not in prometheus.render(a_report(by="job"))


def test_what_is_not_known_has_no_figure() -> None:
    """A missing figure is no zero, and no NaN."""
    families = [
        Family("cmfd_a_joules", "gauge", "A.", []),
        Family("cmfd_b_joules", "gauge", "B.", [Sample({"node": ""}, float("nan"))]),
        Family("cmfd_c_joules", "gauge", "C.", [Sample({"node": ""}, 1.5)]),
    ]

    assert figures_of(text(families)) == {"cmfd_c_joules": 1.5}


def a_row(  # how rows of these tests differ
    owner: str, uj: int, *, run: bytes = NOBODY, at: int = 0, role: str = "count", cpu: str = "cpu"
) -> Row:
    """Return a row of energy."""
    return Row(
        owner=owner, run=run, execution=NOBODY, component=cpu, domain="", source="rapl",
        t0_ns=T0_NS + at * 60 * 10**9, dur_ns=60 * 10**9, uj=uj, static_uj=0, cpu_ns=0,
        covered_ns=60 * 10**9, grade="B", role="count" if role == "count" else "check",
        method="exclusive", flags=0,
    )  # fmt: skip


def exposed(totals: Totals, jobs: dict[bytes, JobLabel] | None = None) -> str:
    """Return what a daemon would say with one source that is there and one that is not."""
    probes = [
        Probe(source="rapl", status="available", reason="", advice="", grade="B", scope="package"),
        Probe(source="nvml", status="absent", reason="", advice="", grade="M", scope="gpu"),
    ]
    return text(totals.families(jobs or {}, probes))


def test_a_daemon_tells_of_its_node_its_jobs_and_itself() -> None:
    """With the names that Prometheus' conventions ask for, and nothing of jobs that are over."""
    totals = Totals("n1", "1.2")
    totals.add([a_row("counter", 10_000_000), a_row("run", 6_000_000, run=RUN)])
    totals.add([a_row("run", 1_000_000, run=OTHER_RUN), a_row("idle", 2_500_000)])
    totals.add([a_row("system", 500_000), a_row("counter", 9_000_000, role="check")])
    totals.tick(0.002)
    totals.tick(0.004)

    told = exposed(totals, {RUN: JobLabel("4711", "ana")})

    check(told)
    assert figures_of(told) == {
        'cmfd_node_energy_joules_total{node="n1",component="cpu",source="rapl",grade="B"}': 10,
        'cmfd_job_energy_joules_total{node="n1",job_id="4711",user="ana",component="cpu",'
        'grade="B"}': 6,
        'cmfd_energy_unattributed_joules_total{node="n1",owner="idle",component="cpu"}': 2.5,
        'cmfd_energy_unattributed_joules_total{node="n1",owner="system",component="cpu"}': 0.5,
        'cmfd_source_up{node="n1",source="rapl"}': 1,
        'cmfd_source_up{node="n1",source="nvml"}': 0,
        'cmfd_sampler_tick_seconds_sum{node="n1"}': 0.006,
        'cmfd_sampler_tick_seconds_count{node="n1"}': 2,
        'cmfd_build_info{node="n1",version="1.2"}': 1,
    }


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**9)), max_size=30))
def test_rows_that_are_stored_again_count_once(said: list[tuple[int, int]]) -> None:
    """A bucket's row grows: the sum is that of the rows as they are at last, and never falls."""
    totals = Totals("n1", "1")
    latest: dict[int, int] = {}
    before = 0.0
    for at, uj in said:
        totals.add([a_row("counter", uj, at=at)])
        latest[at] = max(uj, latest.get(at, 0))
        found = figures_of(exposed(totals))
        now = sum(value for name, value in found.items() if name.startswith("cmfd_node_energy"))
        assert now >= before
        assert now == pytest.approx(sum(latest.values()) / 1e6)
        before = now


def test_a_textfile_is_whole_or_not_there(tmp_path: Path) -> None:
    """The collector reads at any time, as another user; what is being written has another name."""
    path = tmp_path / "cmfd.prom"
    families = [Family("cmfd_a_joules", "gauge", "A.", [Sample({}, 1)])]

    write_textfile(path, families)
    write_textfile(path, families)

    assert path.read_text(encoding="utf-8") == text(families)
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_textfile_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    """A full disk, or a directory in its place: an error, and nothing lies about."""
    path = tmp_path / "cmfd.prom"
    path.mkdir()

    with pytest.raises(OSError, match=r"cmfd\.prom"):
        write_textfile(path, [])

    assert list(tmp_path.iterdir()) == [path]
