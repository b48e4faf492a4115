"""The service of a node for all users: real processes of several users, and a daemon of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from support import services
from support.daemons import as_user, wait_until
from support.services import ALICE, BOB, SERVICE, Service

from cmfd.identity import run_of_job
from cmfd.slurm.spool import JobNote
from cmfd.store.connection import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeService = Callable[..., Service]

pytestmark = pytest.mark.skipif(bool(services.why_not()), reason=services.why_not() or "-")

LOG = """
import cmfd, sys
run = cmfd.start("p", "s")
for step in range(int(sys.argv[1])):
    run.metric("loss", step / 7, step=step)
run.param("who", sys.argv[2])
"""
"""Log some values, and end."""

LOG_AND_WAIT = LOG + "\nprint('logged', flush=True)\nsys.stdin.readline()\n"


def note(job: str = "100", uid: int = ALICE, user: str = "alice", **more: Any) -> JobNote:
    """Return what root tells of a job."""
    told = {
        "cluster": "c",
        "restart": 0,
        "node": "node1",
        "nodes": "node[1-2]",
        "time_us": 1,
        **more,
    }
    return JobNote(job=job, uid=uid, user=user, account="chem", **told)


def run_of(told: JobNote) -> bytes:
    """Return the run that a job is."""
    return run_of_job(told.cluster, told.job, told.restart)


@pytest.fixture
def make() -> Iterator[MakeService]:
    """Make services of one node; none is left running."""
    made: list[Service] = []
    with tempfile.TemporaryDirectory(prefix="cmfd-") as name:
        base = Path(name)
        base.chmod(0o755)

        def service(**settings: str) -> Service:
            made.append(Service(base, log=base / f"log{len(made)}", **settings))
            return made[-1]

        yield service
        for one in made:
            one.close()


@pytest.fixture
def service(make: MakeService) -> Service:
    """Start a service, and wait until it listens."""
    started = make()
    started.start()
    return started


def rows(packs: Iterator[Path], query: str) -> list[tuple[Any, ...]]:
    """Ask all of some packs."""
    found: set[tuple[Any, ...]] = set()
    for pack in packs:
        with closing(connect(pack, readonly=True)) as db:
            found |= set(db.execute(query))
    return sorted(found)


def n_values(packs: Iterator[Path]) -> int:
    """Count the metric values in packs, those of a block once."""
    query = "SELECT instance, series, block, max(n_values) FROM chunk GROUP BY 1, 2, 3"
    longest: dict[tuple[Any, ...], int] = {}
    for *key, n in rows(packs, query):
        longest[tuple(key)] = max(n, longest.get(tuple(key), 0))
    return sum(longest.values())


def wait_delivered(service: Service) -> None:
    """Wait until the service has handled all that root told it."""
    wait_until(lambda: not service.told(), f"delivered: {service.text()}")


# -- what users get ---------------------------------------------------------------------------


@pytest.mark.slow
def test_what_users_jobs_logged_is_delivered_to_a_site_for_each(service: Service) -> None:
    """One daemon, two users on the node at the same time, and nobody started anything."""
    jobs = {"alice": note(), "bob": note("101", BOB, "bob")}
    for told in jobs.values():
        service.prolog(told)
    done = [service.run_as(t.uid, LOG, "50", t.user, note=t) for t in jobs.values()]
    for told in jobs.values():
        service.epilog(told)
    wait_delivered(service)

    assert [(one.returncode, one.stderr) for one in done] == [(0, ""), (0, "")]
    for user, told in jobs.items():
        assert rows(service.packs(f"sites/{user}"), "SELECT uid FROM run") == [(told.uid,)]
        assert rows(service.packs(f"sites/{user}"), "SELECT value FROM param") == [(f"{user}",)]
        assert n_values(service.packs(f"sites/{user}")) == 50
        last = rows(service.packs(f"sites/{user}"), "SELECT final, job_over FROM delivery")[-1]
        assert last == (1, 1)
        assert list((service.node_dir / "journals" / str(told.uid)).iterdir()) == []
        assert service.told() == set()


def test_a_job_that_logs_nothing_is_recorded(service: Service) -> None:
    """It waited, it ran, it cost something: an operator wants to know."""
    told = note()
    service.prolog(told)
    service.epilog(told)
    wait_delivered(service)

    query = "SELECT run, uid, user, job FROM run"
    facts = "SELECT key, value FROM fact WHERE key = 'slurm.node_list'"
    assert rows(service.packs("sites/alice"), query) == [(run_of(told), ALICE, "alice", "100")]
    assert rows(service.packs("sites/alice"), facts) == [("slurm.node_list", "node[1-2]")]


def test_jobs_that_log_nothing_need_not_be_recorded(make: MakeService) -> None:
    """Where most jobs know nothing of cmfd."""
    service = make(system_jobs="false")
    service.start()
    service.prolog(note())
    service.epilog(note())
    wait_delivered(service)

    assert list((service.base / "sites").iterdir()) == []


@pytest.mark.slow
def test_what_a_killed_process_logged_is_taken_from_its_journal(service: Service) -> None:
    """Whatever its umask is: its journal is for the service to read."""
    told = note()
    service.prolog(told)
    service.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    program = "import os; os.umask(0o077)\n" + LOG_AND_WAIT
    process = service.start_as(ALICE, program, "5000", "a", note=told, CMFD_FLUSH_INTERVAL_S="60")
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    process.kill()
    process.communicate()
    service.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
    service.epilog(told)
    wait_delivered(service)

    assert n_values(service.packs("sites/alice")) == 5000
    assert list((service.node_dir / "journals" / str(ALICE)).iterdir()) == []


PRIVATE = """
import cmfd, os, pathlib, sys
os.umask(0o077)
os.makedirs(sys.argv[1])
path = pathlib.Path(sys.argv[1], "in.txt")
path.write_text("a")
run = cmfd.start("p", "s")
"""


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_files_that_only_their_user_may_read_are_read_by_his_own_process(
    service: Service, *, killed: bool
) -> None:
    """Before it ends. Of one that is killed, what it had not read stays named, and is said so."""
    told = note()
    service.prolog(told)
    private = service.base / "home"
    private.mkdir()
    os.chown(private, ALICE, ALICE)
    program = PRIVATE
    if killed:  # before it can have read that much
        program += "os.truncate(path, 1 << 40)\n"
    program += "run.input(path)\n"
    if killed:
        program += "import signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    done = service.run_as(ALICE, program, str(private / "own"), note=told)
    service.epilog(told)
    wait_delivered(service)

    query = "SELECT path, digest, problem FROM event"
    ((path, digest, problem),) = rows(service.packs("sites/alice"), query)
    assert path == f"{private}/own/in.txt"
    if killed:
        assert done.returncode == -signal.SIGKILL
        assert (digest.partition(":")[0], problem) == ("stat", "not hashed")
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert (digest, problem) == ("md5:0cc175b9c0f1b6a831c399e269772661", "")


@pytest.mark.slow
def test_a_killed_service_loses_nothing_of_a_job_that_ended_meanwhile(make: MakeService) -> None:
    """Nobody who logs waits for it; the next one takes the journals, and what root told."""
    service = make()
    service.start()
    told = note()
    service.prolog(told)
    process = service.start_as(ALICE, LOG_AND_WAIT, "2000", "a", note=told)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    service.kill()
    process.kill()
    process.communicate()
    service.epilog(told)
    late = note("102")
    service.prolog(late)
    assert service.run_as(ALICE, LOG, "30", "a", note=late).returncode == 0
    service.epilog(late)

    service.start()
    wait_delivered(service)

    assert n_values(service.packs("sites/alice")) == 2030


@pytest.mark.slow
def test_a_service_that_restarts_under_a_job_goes_on_with_it(make: MakeService) -> None:
    """The job's processes find the next one by themselves, and its run is not taken to be over."""
    service = make()
    service.start()
    told = note()
    service.prolog(told)
    program = LOG_AND_WAIT + LOG.replace("import cmfd, sys\nrun = cmfd.start('p', 's')\n", "")
    process = service.start_as(ALICE, program, "100", "a", note=told)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    assert service.stop() == 0
    service.start()
    out, err = process.communicate("\n", timeout=60)
    service.epilog(told)
    wait_delivered(service)

    assert (process.returncode, out, err) == (0, "", "")
    assert n_values(service.packs("sites/alice")) == 200


@pytest.mark.slow
def test_without_a_directory_for_journals_a_job_goes_on(service: Service) -> None:
    """The Prolog failed: one warning, and what was sent is there."""
    told = note(uid=20003)
    home = Path(f"/var/tmp/cmfd-{told.uid}")
    service._tell(told, ".begin")
    done = service.run_as(told.uid, LOG, "10", "a", note=told)
    service.epilog(told)
    wait_delivered(service)

    assert done.returncode == 0
    assert done.stderr.count("cmfd: there is no") == 1
    assert n_values(service.packs("sites/alice")) == 10
    assert not list(home.glob("journals/*"))
    shutil.rmtree(home)


# -- who may what -----------------------------------------------------------------------------


@pytest.mark.slow
def test_nobody_reads_removes_or_forges_what_another_logs(service: Service) -> None:
    """The kernel refuses all of it."""
    told = note()
    service.prolog(told)
    service.prolog(note("101", BOB, "bob"))
    process = service.start_as(ALICE, LOG_AND_WAIT, "10", "a", note=told)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    (journal,) = (service.node_dir / "journals" / str(ALICE)).iterdir()
    found = journal.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (ALICE, SERVICE, 0o640)

    deeds = {
        "read it": ["cat", str(journal)],
        "list": ["ls", str(journal.parent)],
        "remove it": ["rm", "-f", str(journal)],
        "forge one": ["cp", "/etc/hostname", str(journal.parent / f"{'0' * 32}.cmfj")],
        "move": ["mv", str(journal.parent), str(journal.parent.parent / "x")],
        "read the store": ["cat", str(service.node_dir / "node.db")],
        "read the notes": ["ls", str(service.node_dir / "jobs")],
        "write a note": ["cp", "/etc/hostname", str(service.node_dir / "jobs" / "x.end")],
        "take the socket": ["rm", "-f", str(service.node_dir / "daemon.sock")],
    }
    for name, deed in deeds.items():
        done = subprocess.run(as_user(BOB, *deed), capture_output=True, check=False)
        assert done.returncode != 0, name
    process.communicate("\n")


def test_a_user_s_site_is_for_him_alone(service: Service) -> None:
    """He may read it, and others may not."""
    told = note()
    service.prolog(told)
    service.epilog(told)
    wait_delivered(service)
    if "access control lists" in service.text():
        pytest.skip("this file system keeps no access control lists")
    (pack,) = service.packs("sites/alice")

    def may_read(uid: int) -> bool:
        deed = as_user(uid, "cat", str(pack))
        return subprocess.run(deed, capture_output=True, check=False).returncode == 0

    assert may_read(ALICE)
    assert not may_read(BOB)


@pytest.mark.slow
def test_where_a_run_wants_to_be_published_is_not_obeyed(service: Service) -> None:
    """A service could be made to write anywhere."""
    told = note()
    service.prolog(told)
    there = service.base / "there"
    done = service.run_as(ALICE, LOG, "3", "a", note=told, CMFD_SITE=str(there))
    service.epilog(told)
    wait_delivered(service)

    assert done.returncode == 0
    assert not there.exists()
    assert n_values(service.packs("sites/alice")) == 3


@pytest.mark.slow
def test_an_account_that_is_no_name_does_not_lead_elsewhere(make: MakeService) -> None:
    """Where SLURM does not check accounts, users choose what theirs is called."""
    service = make(site="sites/{account}/{user}")
    service.start()
    told = structs.replace(note(user="bob"), account="../../x")
    service.prolog(told)
    service.epilog(told)
    wait_delivered(service)

    assert len(list(service.packs("sites/none/bob"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("early", [True, False], ids=["before root told", "afterwards"])
def test_a_job_s_run_is_its_user_s_whoever_speaks_of_it(service: Service, *, early: bool) -> None:
    """Anybody can work out which id the next job's run will have."""
    mine, his = note(), note("101", BOB, "bob")
    service.prolog(his)

    def forge() -> None:
        # Bob says that he is in Alice's job, as a process of it would.
        done = service.run_as(BOB, LOG, "77", "bob", note=mine)
        assert done.returncode == 0

    if early:
        forge()
    service.prolog(mine)
    if not early:
        forge()
    assert service.run_as(ALICE, LOG, "50", "alice", note=mine).returncode == 0
    for told in (mine, his):
        service.epilog(told)
    wait_delivered(service)

    assert rows(service.packs("sites/alice"), "SELECT value FROM param") == [("alice",)]
    assert n_values(service.packs("sites/alice")) == 50
    assert rows(service.packs("sites/alice"), "SELECT run, uid FROM run") == [(run_of(mine), ALICE)]


@pytest.mark.slow
def test_who_speaks_of_a_job_to_come_is_kept_apart_from_it(make: MakeService) -> None:
    """Also at a site that all share, and though it was published before the job began."""
    service = make(site="sites")
    service.start()
    mine = note()
    service.make_journals(BOB)
    assert service.run_as(BOB, LOG, "77", "bob", note=mine).returncode == 0
    wait_until(lambda: list(service.packs("sites")), "published")
    service.prolog(mine)
    assert service.run_as(ALICE, LOG, "50", "alice", note=mine).returncode == 0
    service.epilog(mine)
    wait_delivered(service)

    runs = dict(rows(service.packs("sites"), "SELECT uid, run FROM run"))
    assert runs[ALICE] == run_of(mine)
    assert runs[BOB] != runs[ALICE]
    both = "SELECT p.value, e.run FROM param AS p JOIN execution AS e USING (execution)"
    assert set(rows(service.packs("sites"), both)) == {("alice", runs[ALICE]), ("bob", runs[BOB])}
    executions = rows(service.packs("sites"), "SELECT execution FROM execution")
    assert len(executions) == 2
    assert n_values(service.packs("sites")) == 127


@pytest.mark.slow
def test_the_service_tells_a_user_only_what_is_his(service: Service) -> None:
    """Also which jobs are on the node."""
    service.prolog(note())
    process = service.start_as(ALICE, LOG_AND_WAIT, "10", "a", note=note())
    assert process.stdout is not None
    process.stdout.readline()
    service.wait_for(lambda status: status["clients"] and status["runs"], "known")
    program = (
        "from cmfd import config\nfrom cmfd.wire.control import request\n"
        "from cmfd.wire.messages import StatusRequest\n"
        "answer = request(config.load().node_dir, StatusRequest(), 30, system=True)\n"
        "import json\nfound = json.loads(answer.document)\n"
        "print([len(found[key]) for key in ('clients', 'runs', 'jobs')])\n"
    )

    assert service.run_as(ALICE, program).stdout == "[1, 1, 1]\n"
    assert service.run_as(BOB, program).stdout == "[0, 0, 0]\n"
    process.communicate("\n")


# -- setting it up ----------------------------------------------------------------------------


def failure(service: Service, **changes: str) -> str:
    """Return what a service that cannot start says."""
    done = subprocess.run(
        service.command(), env={**service.environ(), **changes}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    return done.stderr


def test_the_service_is_not_root(make: MakeService) -> None:
    """It reads what users write."""
    service = make()
    command = service.command()[5:]
    done = subprocess.run(
        command, env=service.environ(), capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 3
    assert "must not be root" in done.stderr


@pytest.mark.slow
def test_a_service_whose_directories_are_not_safe_does_not_start(make: MakeService) -> None:
    """It says what root has to do."""
    service = make()

    assert "`system_site` does not say" in failure(service, CMFD_SYSTEM_SITE="")
    (service.node_dir / "journals").chmod(0o777)
    assert "can be written by everybody" in failure(service)
    (service.node_dir / "journals").chmod(0o711)
    assert f"User {SERVICE} cannot list {service.node_dir}/journals" in failure(service)
    (service.node_dir / "journals").chmod(0o751)
    os.chown(service.node_dir, 0, 0)
    assert f"User {SERVICE} cannot write to {service.node_dir}" in failure(service)


@pytest.mark.slow
def test_a_daemon_that_anybody_could_have_put_there_is_not_believed(make: MakeService) -> None:
    """Only who root lets make a socket in the directory is the service."""
    service = make()
    service.start()
    assert service.is_listening
    service.node_dir.chmod(0o1777)
    program = (
        "from cmfd import config\nfrom cmfd.wire.control import request\n"
        "from cmfd.wire.messages import StatusRequest\n"
        "request(config.load().node_dir, StatusRequest(), 30, system=True)\n"
    )

    assert "nothing was sent" in service.run_as(ALICE, program).stderr


# -- quotas -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_who_has_too_many_processes_is_told_and_loses_nothing(make: MakeService) -> None:
    """The one too many goes on with its journal, which is taken when it has ended."""
    service = make(quota_clients="1")
    service.start()
    mine, his = note(), note("101", BOB, "bob")
    for told in (mine, his):
        service.prolog(told)
    first = service.start_as(ALICE, LOG_AND_WAIT, "10", "a", note=mine)
    assert first.stdout is not None
    assert first.stdout.readline() == "logged\n"
    service.wait_for(lambda status: status["clients"], "connected")

    program = LOG + "\nimport time\nrun.flush(2)\n"
    second = service.run_as(ALICE, program, "20", "a", note=mine)
    others = service.run_as(BOB, program, "30", "b", note=his)
    first.communicate("\n", timeout=60)
    for told in (mine, his):
        service.epilog(told)
    wait_delivered(service)

    assert (second.returncode, second.stderr.count("quota_clients")) == (0, 1)
    assert (others.returncode, others.stderr) == (0, "")
    assert n_values(service.packs("sites/alice")) == 30
    assert n_values(service.packs("sites/bob")) == 30


@pytest.mark.slow
def test_who_has_stored_too_much_is_told_and_gets_all_of_it_published(make: MakeService) -> None:
    """What is published makes room for what waits; nobody else notices."""
    service = make(quota_stored_bytes="100000", checkpoint_interval_s="1")
    service.start()
    mine, late = note(), note("102")
    service.prolog(mine)
    done = service.run_as(ALICE, LOG, "20000", "a", note=mine)
    service.epilog(mine)
    service.prolog(late)
    again = service.run_as(ALICE, LOG, "500", "a", note=late)
    service.epilog(late)
    wait_until(lambda: n_values(service.packs("sites/alice")) == 20_500, "all is there", 90)

    assert (done.returncode, again.returncode) == (0, 0)
    assert "quota_stored_bytes" in done.stderr + again.stderr


@pytest.mark.slow
def test_a_user_asks_how_the_service_is(service: Service) -> None:
    """And what of his own waits here."""
    service.make_journals(ALICE)
    service.make_journals(BOB).rmdir()
    command = "from cmfd.cli.main import main; import sys; main()"

    alice, bob = (
        service.run_as(uid, command, "doctor", "--json", CMFD_SITE="/nonexistent/site")
        for uid in (ALICE, BOB)
    )
    said = [{one["check"]: one for one in json.loads(done.stdout)} for done in (alice, bob)]

    assert [found["journal directory"]["level"] for found in said] == ["ok", "warn"]
    for found in said:
        assert {found[name]["level"] for name in ("socket", "daemon", "journals")} == {"ok"}
    status = service.run_as(ALICE, command, "status", CMFD_SITE="/nonexistent/site")
    assert (status.returncode, status.stderr) == (0, "")
