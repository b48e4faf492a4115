"""Jobs as root tells of them: when their runs are sealed, whose they are, what is forgotten."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from support.bench import OWN_UID, instance, of_type

from cmfd.daemon.effects import (
    Commit,
    Effect,
    FindJobs,
    FindJournals,
    ForgetJob,
    LookAtRuns,
    Owner,
    Seal,
)
from cmfd.daemon.options import SECOND_NS
from cmfd.daemon.sites import Sites
from cmfd.daemon.spool import Spool
from cmfd.daemon.stimuli import (
    FoundJournal,
    JobSeen,
    JobsFound,
    JournalGone,
    JournalsFound,
    Published,
    PublishFailed,
    RunsSeen,
    Started,
)
from cmfd.errors import ConfigError, StoreError
from cmfd.identity import run_from, run_of_job
from cmfd.slurm.spool import BEGIN, END, JobNote, file_name, read_note, text_of
from cmfd.slurm.tasks import Task
from cmfd.store.interpret import SealedPack
from cmfd.store.node import RunStanding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.bench import Bench

NOTE = JobNote(
    cluster="c", job="7", component="7", restart=0, uid=OWN_UID, user="alice", account="chem",
    nodes="n[1-2]", node="n1", time_us=100_000_000,
)  # fmt: skip
RUN = run_of_job("c", "7", 0)
SITE = Path("/sites/{user}")


class Service:
    """A bench in service of all users, with a store that knows one run."""

    def __init__(self, benches: Callable[..., Bench]) -> None:
        self.bench = benches(system=True, default_site=str(SITE))
        self.standings: list[RunStanding] = []

    def stands(self, *, n_open: int = 0, new: bool = True) -> None:
        """Let the store say so from now on."""
        self.standings = [RunStanding(RUN, "/its/own", OWN_UID, n_open, new)]

    def answer(self, effects: Sequence[Effect]) -> list[Effect]:
        """Answer looks and commits until there are none; return all that was asked for."""
        found: list[Effect] = []
        waiting = list(effects)
        while waiting:
            effect = waiting.pop(0)
            found.append(effect)
            if isinstance(effect, LookAtRuns):
                waiting += self.bench.give(RunsSeen(tuple(self.standings)))
            elif isinstance(effect, Commit):
                waiting += self.bench.committed(effect)
            elif isinstance(effect, FindJournals):
                waiting += self.bench.give(JournalsFound(()))
        return found

    def tell(self, *, ended: bool, name: str = "c_7_0", note: JobNote = NOTE) -> list[Effect]:
        """Let root tell of a job, and the daemon see it."""
        effects = self.bench.give(JobsFound((JobSeen(name, note, ended),)))
        return [*self.answer(effects), *self.later(0)]

    def later(self, after_s: float) -> list[Effect]:
        """Let time pass."""
        return self.answer(self.bench.tick(after_s))

    def published(self, seal: Seal) -> list[Effect]:
        """Let the worker succeed; then all of it is published."""
        self.standings = []
        sealed = SealedPack(Path("/out/abc.db"), seal.run, 7, seal.final)
        effects = self.bench.give(Published(seal.run, Path("/sites/alice"), sealed, Path("/p")))
        return [*self.answer(effects), *self.later(0)]


@pytest.fixture
def service(benches: Callable[..., Bench]) -> Service:
    """Return a service that nothing has happened to."""
    return Service(benches)


def test_a_job_of_which_only_energy_is_new_is_published_each_hour(service: Service) -> None:
    """Not at each checkpoint: these are for what its processes say, which may be none."""
    service.tell(ended=False)
    service.stands()
    service.bench.state.runs.look()
    service.later(0)

    assert not of_type(service.later(3599), Seal)
    (seal,) = of_type(service.later(2), Seal)
    service.published(seal)
    service.stands()
    service.bench.state.runs.look()
    service.later(0)
    service.stands(n_open=1)
    service.bench.state.runs.look()
    assert not of_type(service.later(0), Seal)
    assert of_type(service.later(601), Seal)


# -- when a job's run is sealed ---------------------------------------------------------------


def test_a_job_s_run_goes_on_between_its_steps(service: Service) -> None:
    """None of its processes lives, and more may come: root says when it is over."""
    service.tell(ended=False)
    service.stands()
    service.bench.state.runs.look()

    assert not of_type(service.later(5), Seal)


def test_when_its_job_is_over_a_run_is_sealed_at_once(service: Service) -> None:
    """To where the operator says, as the last pack of this node; then the notes go."""
    service.tell(ended=False)
    service.stands()

    (seal,) = of_type(service.tell(ended=True), Seal)

    owner = Owner(OWN_UID, "alice", "chem", "c")
    assert seal == Seal(RUN, SITE, final=True, owner=owner, job_over=True)
    assert of_type(service.published(seal), ForgetJob) == [ForgetJob("c_7_0")]
    assert service.bench.state.jobs.by_name == {}


def test_what_comes_late_of_a_job_is_still_the_jobs(service: Service) -> None:
    """Energy is divided anew some seconds after: it goes where the rest went, under the one id."""
    service.tell(ended=False)
    service.stands()
    (seal,) = of_type(service.tell(ended=True), Seal)
    assert of_type(service.published(seal), ForgetJob)

    service.stands()
    effects = service.tell(ended=False, name="c_70_0", note=replace(NOTE, job="70", component="70"))
    late = next(iter(of_type([*effects, *service.later(60)], Seal)))
    assert (late.run, late.apart, late.owner) == (RUN, None, seal.owner)


def test_what_root_told_stays_until_the_site_takes_it(service: Service) -> None:
    """It is told again to a daemon that starts anew."""
    service.tell(ended=False)
    service.stands()
    (seal,) = of_type(service.tell(ended=True), Seal)

    effects = service.bench.give(PublishFailed(seal.run, "the site is away"))
    assert not of_type(service.answer(effects), ForgetJob)
    (again,) = of_type(service.later(2), Seal)
    assert again.job_over
    assert of_type(service.published(again), ForgetJob)


def test_a_job_of_which_nothing_is_known_is_forgotten(service: Service) -> None:
    """Where such jobs are not to be recorded."""
    service.tell(ended=False)

    assert of_type(service.tell(ended=True), ForgetJob) == [ForgetJob("c_7_0")]


def test_a_het_job_is_over_when_all_its_components_are(service: Service) -> None:
    """Two of them may share a node."""
    other = JobNote(cluster="c", job="7", component="8", restart=0, uid=OWN_UID)
    service.tell(ended=False)
    service.tell(ended=False, name="c_8_0", note=other)
    service.stands()

    assert not of_type(service.tell(ended=True), Seal)
    (seal,) = of_type(service.tell(ended=True, name="c_8_0", note=other), Seal)
    forgotten = of_type(service.published(seal), ForgetJob)
    assert forgotten == [ForgetJob("c_7_0"), ForgetJob("c_8_0")]


def test_a_process_that_outlives_its_job_may_say_more(service: Service) -> None:
    """What there is, is published when the job ends; that is not the last of it."""
    service.tell(ended=False)
    service.stands(n_open=1)

    (seal,) = of_type(service.tell(ended=True), Seal)

    assert seal.job_over
    assert not seal.final


def test_a_job_that_begins_again_has_left_the_node_before(service: Service) -> None:
    """Its Epilog was killed, say: no run stays open for ever, and the new start's does."""
    service.tell(ended=False)
    service.tell(ended=False, name="c_70_0", note=replace(NOTE, job="70", component="70"))
    service.stands()

    again = replace(NOTE, restart=1)
    (seal,) = of_type(service.tell(ended=False, name="c_7_1", note=again), Seal)

    assert (seal.run, seal.final, seal.job_over) == (RUN, True, True)
    jobs = service.bench.state.jobs
    service.published(seal)
    assert sorted(jobs.by_name) == ["c_70_0", "c_7_1"]
    assert jobs.goes_on(run_of_job("c", "7", 1))
    assert jobs.goes_on(run_of_job("c", "70", 0))


def test_a_job_that_ended_while_the_daemon_was_down(service: Service) -> None:
    """Both notes are there; journals are taken before the run is sealed."""
    seen = (JobSeen("c_7_0", NOTE, ended=False), JobSeen("c_7_0", NOTE, ended=True))
    effects = service.bench.give(JobsFound(seen))
    effects += service.bench.give(Started((FoundJournal(instance(1), OWN_UID, "/j/1"),)))
    service.stands(n_open=1)
    assert not of_type([*service.answer(effects), *service.later(0)], Seal)

    service.stands()
    effects = service.bench.give(JournalGone(instance(1)))
    (seal,) = of_type([*service.answer(effects), *service.later(0)], Seal)
    assert seal.final


def test_root_s_word_is_written_before_what_processes_say(service: Service) -> None:
    """Whose a run is decides who may speak of it."""
    service.bench.give(JobsFound((JobSeen("c_7_0", NOTE, ended=False),)))
    service.bench.hello()
    service.bench.slice(0, 1)
    commit = service.bench.commit()

    assert [(word.run, word.note, word.ended) for word in commit.jobs] == [(RUN, NOTE, False)]


def test_a_service_looks_for_root_s_word_every_second(benches: Callable[..., Bench]) -> None:
    """A user's own daemon has nobody to tell it."""
    bench = benches(system=True)

    assert bench.state.deadline_ns() == bench.now_ns + SECOND_NS
    assert of_type(bench.tick(1), FindJobs)
    assert not of_type(benches().tick(1), FindJobs)


# -- the spool --------------------------------------------------------------------------------


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    """As docs/job-spool.md shows it; what a later release adds is passed over."""
    path = tmp_path / "x"
    path.write_text(text_of(NOTE) + "colour=blue\nrest of a line\n", "utf-8")

    assert read_note(path) == NOTE
    assert file_name(NOTE) == "c_7_0"


def test_a_job_s_run_is_the_one_that_its_processes_work_out() -> None:
    """Else nobody could say whose it is."""
    environ = {"SLURM_JOB_ID": "7", "SLURM_CLUSTER_NAME": "c", "SLURM_RESTART_COUNT": "2"}
    derived = run_from(environ)

    assert derived is not None
    assert derived.run == run_of_job("c", "7", 2)


@pytest.mark.parametrize("text", ["", "cluster=c\njob=7\nrestart=0\nuid=root\n", "\xff=\n"])
def test_a_note_that_says_too_little_is_no_note(tmp_path: Path, text: str) -> None:
    """Nobody could say whose job it is."""
    path = tmp_path / "x"
    path.write_text(text, "latin-1")

    with pytest.raises(ConfigError, match="does not say which job"):
        read_note(path)


def test_the_spool_tells_what_is_new_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad note is passed over once, and anything else is none."""
    spool = Spool(tmp_path / "missing")
    assert list(spool.news()) == []
    spool = Spool(tmp_path)
    for name in (f"c_7_0{END}", f"c_7_0{BEGIN}", "README"):
        (tmp_path / name).write_text(text_of(NOTE), "utf-8")
    (tmp_path / f"bad{BEGIN}").write_text("nonsense", "utf-8")

    with caplog.at_level(logging.ERROR):
        news = list(spool.news())

    assert news == [JobSeen("c_7_0", NOTE, ended=False), JobSeen("c_7_0", NOTE, ended=True)]
    assert "passed over" in caplog.text
    assert list(spool.news()) == []
    spool.remove("c_7_0")
    assert {path.name for path in tmp_path.iterdir()} == {"README", f"bad{BEGIN}"}


def test_a_job_is_over_that_was_on_the_node_when_it_went_down(tmp_path: Path) -> None:
    """No Epilog said so; what began since the node is up again goes on."""
    for number, boot in enumerate(("before", "now", "")):
        note = replace(NOTE, job=str(number), boot=boot)
        (tmp_path / f"c_{number}_0{BEGIN}").write_text(text_of(note), "utf-8")

    ended = {seen.name: seen.ended for seen in Spool(tmp_path, "now").news()}

    assert ended == {"c_0_0": True, "c_1_0": False, "c_2_0": False}


def test_the_spool_reads_when_tasks_began_and_ended_once_the_job_is_over(tmp_path: Path) -> None:
    """From the user's own file, which goes with the notes; of a component, from its leader's."""
    uid = os.getuid()
    jobs, journals = tmp_path / "jobs", tmp_path / "journals"
    told = journals / str(uid) / "c_7_0.tasks"
    for directory in (jobs, told.parent):
        directory.mkdir(parents=True)
    told.write_text("begin 0 1 7\nend 0 1 9\n")
    note = replace(NOTE, uid=uid, component="8")
    for kind in (BEGIN, END):
        (jobs / f"c_8_0{kind}").write_text(text_of(note), "utf-8")
    spool = Spool(jobs, journals=journals)

    assert [seen.tasks for seen in spool.news()] == [(), (Task("0", 1, 7000, 9000),)]
    spool.remove("c_8_0")
    assert not told.exists()


# -- where it is published --------------------------------------------------------------------


def test_a_site_is_made_below_what_the_operator_made(tmp_path: Path) -> None:
    """Not where something is to be mounted that is not."""
    (tmp_path / "shared").mkdir()
    sites = Sites(tmp_path / "shared" / "{account}" / "{user}", ())

    place = sites.place(Owner(1, "alice", "chem"))

    assert place == tmp_path / "shared" / "chem" / "alice"
    assert place.is_dir()
    with pytest.raises(StoreError, match=r"is not there\. What is to be published is kept"):
        Sites(tmp_path / "away" / "{user}", ()).place(Owner(1, "alice"))
    assert not (tmp_path / "away").exists()


@pytest.mark.parametrize("account", ["", "..", "../x", "a/b", ".hidden", "-x", "a b"])
def test_what_is_no_name_for_a_directory_does_not_become_one(tmp_path: Path, account: str) -> None:
    """Users choose some of what stands there."""
    sites = Sites(tmp_path / "{account}", ())

    assert sites.place(Owner(1, "alice", account)) == tmp_path / "none"


def test_a_user_without_a_name_goes_by_the_number(tmp_path: Path) -> None:
    """In a container, or while the server of names is away."""
    assert Sites(tmp_path / "{user}-{uid}", ()).place(Owner(54321)).name == "54321-54321"
