"""`cmfd merge --watch`: what comes in is merged, and jobs are seen to their end."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_slurm import FakeSlurm, job
from support.packs import Content, an_id, small_run, write_pack
from support.sites import BEGIN_NS
from support.wrapper import CMFD

from cmfd.cli.watch import ACCOUNTED_S, PATIENCE_S, Watch
from cmfd.errors import NotFoundError
from cmfd.identity import run_of_job
from cmfd.merge.layout import Site, init_site
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.slurm.spool import JobNote, text_of
from cmfd.store.pack import publish
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.query.results import RunDetail

BEGIN_S = BEGIN_NS // 10**9
RUN = run_of_job("c", "1", 0)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Give commands of SLURM that say what a test wants."""
    return FakeSlurm(tmp_path / "slurm").install(monkeypatch)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = init_site(tmp_path / "site")
    (made.path / "queue").mkdir()
    return made


@pytest.fixture
def watch(site: Site) -> Watch:
    """Return a service that looks when it is told to."""
    return Watch(site.path, lambda _seconds: False)


def of_job(content: Content) -> Content:
    """Return what a node seals of job 1 of cluster c, whose run's id follows from that."""
    old = an_id("run", 1)
    return {
        table: [tuple(RUN if value == old else value for value in row) for row in rows]
        for table, rows in content.items()
    }


def deliver(site: Site, node: str, *, at_s: int = 100) -> None:
    """Publish what a node has of the job, which ran on n1 and n2."""
    origin: Any = an_id("proc", 1000)
    content = small_run(1) | {
        "fact": [(an_id("exec", 1), "slurm.step_nodes", BEGIN_NS, origin, "str", "n[1-2]")],
        "delivery": [(an_id("run", 1), node, BEGIN_NS + at_s * 10**9, origin, 1, 0, 0)],
    }
    packs = site.path.parent / "packs"
    publish(write_pack(packs, of_job(content), node=node, sealed_ns=at_s), site.path)


def queue(site: Site, *, number: str = "1") -> Path:
    """Put the job into the queue, as EpilogSlurmctld does."""
    path = site.path / "queue" / f"c_{number}_0"
    path.write_text(text_of(JobNote(cluster="c", job=number, restart=0, uid=1000)), "utf-8")
    return path


def the_run(site: Site) -> RunDetail:
    with open_index(site.path) as db:
        return runs.detail(db, runs.find(db, "1"))


def facts(site: Site) -> dict[str, Any]:
    return {fact.key: fact.value for fact in the_run(site).facts}


def test_a_job_is_joined_once_and_leaves_the_queue_when_it_is_complete(
    site: Site, watch: Watch, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    """Accounting gets its time; nodes that are late are named, and waited for."""
    slurm.account(job(1, BEGIN_S + 1))
    path = queue(site)
    deliver(site, "n1")
    watch.look(0)
    assert "job 1" in capsys.readouterr().err
    assert slurm.asked() == []
    watch.look(ACCOUNTED_S)
    assert facts(site)["slurm.state"] == "COMPLETED"
    n_asked = len(slurm.asked())
    watch.look(ACCOUNTED_S + 1)
    assert len(slurm.asked()) == n_asked
    assert path.exists()
    assert the_run(site).run.missing_nodes == ["n2"]
    deliver(site, "n2")
    watch.look(ACCOUNTED_S + 2)
    assert not path.exists()
    assert the_run(site).run.missing_nodes == []
    told = capsys.readouterr().err
    assert "all nodes delivered" in told
    assert watch.jobs == {}


def test_what_cannot_be_read_in_the_queue_keeps_no_job_waiting(
    site: Site, watch: Watch, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told of once."""
    slurm.account(job(1, BEGIN_S + 1))
    path = queue(site)
    (path.parent / "a_directory").mkdir()
    for node in ("n1", "n2"):
        deliver(site, node)
    for now_s in (0, ACCOUNTED_S):
        watch.look(now_s)

    assert not path.exists()
    assert capsys.readouterr().err.count("a_directory") == 1


def test_the_nodes_that_are_missing_are_told_by_name(
    site: Site, watch: Watch, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, and again when the job is let go: it is incomplete, and stays open to what comes."""
    slurm.account(job(1, BEGIN_S + 1))
    path = queue(site)
    deliver(site, "n1")
    for now_s in (0, 1, ACCOUNTED_S, ACCOUNTED_S + 1):
        watch.look(now_s)
    assert capsys.readouterr().err.count("n2 not delivered yet") == 1
    watch.look(PATIENCE_S)
    assert "incomplete, n2 did not deliver" in capsys.readouterr().err
    assert not path.exists()
    deliver(site, "n2")
    watch.look(PATIENCE_S + 1)
    assert the_run(site).run.missing_nodes == []


@pytest.mark.slow
def test_accounting_that_is_away_is_asked_again_ever_more_rarely(
    site: Site, watch: Watch, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what it says in the end is joined; if it never does, somebody is told."""
    slurm.refuse("slurmdbd is away")
    path = queue(site)
    deliver(site, "n1")
    deliver(site, "n2")
    for now_s in range(120):
        watch.look(now_s)
    questions = [line for line in slurm.asked() if "--jobs" in line or "-j" in line]
    assert 2 <= len(questions) <= 6
    told = capsys.readouterr().err
    assert told.count("SLURM's accounting cannot be asked about jobs") == 1
    assert "slurmdbd is away" in told
    assert path.exists()
    slurm.refuse("")
    slurm.account(job(1, BEGIN_S + 1))
    watch.look(400)
    assert facts(site)["slurm.state"] == "COMPLETED"
    assert not path.exists()
    slurm.refuse("slurmdbd is away")
    queue(site)
    slurm.account()
    watch.look(500)
    capsys.readouterr()
    watch.look(500 + PATIENCE_S)
    assert "cmfd slurm enrich" in capsys.readouterr().err


def test_a_job_that_recorded_nothing_leaves_the_queue_in_silence(
    site: Site, watch: Watch, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most jobs of a cluster may be none of cmfd's."""
    path = queue(site)
    watch.look(0)
    watch.look(PATIENCE_S - 1)
    assert path.exists()
    deliver(site, "n1")  # an index is there
    queue(site, number="77")
    watch.look(PATIENCE_S)
    watch.look(3 * PATIENCE_S)
    assert list((site.path / "queue").iterdir()) == []
    assert "77" not in capsys.readouterr().err
    assert not any("77" in line for line in slurm.asked())


def test_what_is_no_job_stays_in_the_queue_and_hinders_nobody(
    site: Site, watch: Watch, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told of once; what is still being written is none of it."""
    slurm.account(job(1, BEGIN_S + 1))
    strange = site.path / "queue" / "notes.txt"
    strange.write_text("buy milk\n", "utf-8")
    (site.path / "queue" / ".c_1_0.new").write_text("cluster=c\njo", "utf-8")
    queue(site)
    deliver(site, "n1")
    deliver(site, "n2")
    watch.look(0)
    watch.look(ACCOUNTED_S)
    assert {path.name for path in (site.path / "queue").iterdir()} == {"notes.txt", ".c_1_0.new"}
    assert capsys.readouterr().err.count("notes.txt") == 1


def test_a_service_merges_what_comes_until_it_is_told_to_end(site: Site) -> None:
    """As a process: a second one does not get in its way, and a signal ends it well."""
    command = [*CMFD, "merge", "--watch", "--interval", "0.05", "--site", str(site.path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        assert "watching" in service.stderr.readline()
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 11
        assert "is watched already" in second.stderr
        assert str(service.pid) in second.stderr
        for node in ("n1", "n2"):
            deliver(site, node)
            while list(site.inbox.iterdir()):
                assert service.poll() is None
                time.sleep(0.02)
        service.send_signal(signal.SIGTERM)
        rest = service.stderr.read()
        assert service.wait() == 0
    assert "told to end" in rest
    with closing(SiteStore(site.index, readonly=True)) as index:
        assert len(index.ledger()) == 2


def test_packs_are_not_named_where_a_site_is_watched(site: Site) -> None:
    """It would not be clear whether they are to be merged once or again and again."""
    done = subprocess.run(
        [*CMFD, "merge", "--watch", "--site", str(site.path), "x.db"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2


def test_a_site_that_is_away_is_watched_until_it_is_back(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told once that nothing can be merged, not each time."""
    looks = 0
    away = site.path.with_name("away")

    def is_ended(wait_s: float) -> bool:
        nonlocal looks
        looks += wait_s > 0
        if looks == 1:
            site.path.rename(away)
            site.path.write_text("no directory", "utf-8")
        if looks == 4:
            site.path.unlink()
            away.rename(site.path)
            deliver(site, "n1")
        return looks == 5

    Watch(site.path, is_ended).run(1.0)
    assert capsys.readouterr().err.count("site.toml") <= 1
    assert the_run(site).run.job == "1"
    with open_index(site.path) as db, pytest.raises(NotFoundError):
        runs.find(db, "2")
