"""A real daemon, a real socket, a real store, and processes that really die."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.bench import instance
from support.daemons import Daemon, wait_until
from support.dealer import Dealer, units_of
from support.journals import EXECUTION, RUN, T0_NS, Journal

from cmfd.cli.slurm import deliver
from cmfd.client.launch import daemon_runs, ensure_daemon
from cmfd.config import Settings
from cmfd.daemon import main
from cmfd.daemon.main import run_daemon
from cmfd.store.connection import connect
from cmfd.wire.control import request
from cmfd.wire.endpoint import MAX_SOCKET_PATH_BYTES, socket_path
from cmfd.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    Bye,
    ExecutionBegin,
    Flushed,
    Hello,
    ProcessBegin,
    Refused,
    RunBegin,
    SealReply,
    SealRequest,
    Series,
    Unknown,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeDaemon = Callable[..., Daemon]

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be several users")


def a_journal(node_dir: Path, number: int = 1, n_points: int = 100, site: str = "") -> Journal:
    """Return a journal of a process in a run, which logged some values of one series."""
    path = node_dir / "journals" / f"{instance(number).hex()}.cmfj"
    journal = Journal(instance(number), uid=os.getuid(), path=str(path))
    journal.events(
        RunBegin(at_ns=T0_NS, run=RUN, site=site),
        ExecutionBegin(at_ns=T0_NS, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
        ProcessBegin(at_ns=T0_NS, execution=EXECUTION, rank=number),
        Series(at_ns=T0_NS, id=1, execution=EXECUTION, name="loss"),
    )
    for step in range(n_points):
        journal.point(1, float(step), step=step)
    return journal


def steps(daemon: Daemon, number: int = 1) -> list[int]:
    """Return the steps of one process's values in the store, in order of slot."""
    return [
        step
        for (owner, _, _), values in sorted(daemon.values().items())
        for _, step, _ in values
        if owner == instance(number)
    ]


# -- the conversation --------------------------------------------------------------------------


def test_what_is_sent_is_acknowledged_and_in_the_store(daemon: Daemon) -> None:
    """The main road, once along."""
    journal = a_journal(daemon.node_dir)
    with Dealer(daemon.node_dir) as dealer:
        welcome = dealer.hello(journal.instance)
        assert welcome.committed == []
        dealer.send_slices(journal.slices())
        dealer.flush()

        assert dealer.acked == units_of(journal.slices())
    assert steps(daemon) == list(range(100))


def test_numpy_is_loaded_for_the_first_metric(daemon: Daemon) -> None:
    """It takes as long as all else of a start, and who logs none has no use for it."""

    def has_numpy() -> bool:
        assert daemon.process is not None
        return "numpy" in Path(f"/proc/{daemon.process.pid}/maps").read_text("utf-8")

    with Dealer(daemon.node_dir) as dealer:
        for number, n_points in enumerate((0, 1), start=1):
            journal = a_journal(daemon.node_dir, number, n_points)
            dealer.hello(journal.instance)
            dealer.send_slices(journal.slices())
            dealer.flush(number)
            assert has_numpy() == bool(n_points)
    assert steps(daemon, 2) == [0]


def test_a_welcome_names_what_an_earlier_daemon_stored(daemon: Daemon, daemons: MakeDaemon) -> None:
    """Killed right after an acknowledgement, started again: nothing is lost or doubled."""
    journal = a_journal(daemon.node_dir)
    with Dealer(daemon.node_dir) as dealer:
        first = dealer.hello(journal.instance)
        dealer.send_slices(journal.slices())
        dealer.flush()
        daemon.kill()
        again = daemons().start()
        dealer.send_slices(journal.slices()[:1])
        dealer.wait_for(Unknown)
        second = dealer.hello(journal.instance)
        dealer.send_slices(journal.slices())
        dealer.flush(2)

        assert second.epoch != first.epoch
        assert {(b, unit) for b, f, e in second.committed for unit in range(f, e)} == units_of(
            journal.slices()
        )
    assert steps(again) == list(range(100))


def test_garbage_on_the_socket_is_counted_and_dropped(daemon: Daemon) -> None:
    """Fuzzers, port scanners and bugs do not keep others from their daemon."""
    journal = a_journal(daemon.node_dir)
    with Dealer(daemon.node_dir) as vandal, Dealer(daemon.node_dir) as dealer:
        dealer.hello(journal.instance)
        for size in range(1, 60):
            vandal.send(os.urandom(size))
        vandal.send(b"", b"", b"")
        vandal.send(*[b"x"] * 50)
        vandal.send(os.urandom(100_000), os.urandom(100_000))
        dealer.send_slices(journal.slices())
        dealer.flush()
        daemon.wait_for(lambda status: status["malformed"] >= 62, "all garbage counted")

    assert steps(daemon) == list(range(100))
    assert f"pid={os.getpid()}" in daemon.text()


def test_a_frame_larger_than_any_credit_is_not_even_read(daemon: Daemon) -> None:
    """Its connection is closed by libzmq; others do not notice."""
    with Dealer(daemon.node_dir) as vandal, Dealer(daemon.node_dir) as dealer:
        vandal.send(bytes(64 << 20))
        dealer.hello(instance(1))
        daemon.wait_for(lambda status: len(status["clients"]) == 1, "the honest client is served")

        assert daemon.status()["malformed"] == 0


def test_bytes_that_are_not_even_zeromq_change_nothing(daemon: Daemon) -> None:
    """Somebody's curl, say."""
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(socket_path(daemon.node_dir)))
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)

        assert daemon.status()["malformed"] == 0


@pytest.mark.slow
def test_a_client_that_reads_nothing_is_let_go(daemon: Daemon) -> None:
    """Answers to it must not pile up in the daemon."""
    with Dealer(daemon.node_dir) as deaf:
        deaf.hello(instance(1))
        for token in range(20_000):
            deaf.say(Flushed(token=token))  # not for clients to say: an Unknown each

        daemon.wait_for(lambda status: status["malformed"] >= 20_000, "all were dropped")


def test_who_sends_more_than_its_credit_is_cut_off(daemon: Daemon) -> None:
    """And may begin anew."""
    journal = a_journal(daemon.node_dir, n_points=40_000)
    with Dealer(daemon.node_dir) as dealer:
        dealer.hello(journal.instance)
        dealer.send_slices(journal.slices())
        assert "credit" in dealer.wait_for(Refused).reason

        dealer.hello(journal.instance)
        assert daemon.status()["overruns"] == 1


def test_the_status_says_what_goes_on(daemon: Daemon) -> None:
    """Who is connected, how much came, how long commits take."""
    journal = a_journal(daemon.node_dir)
    with Dealer(daemon.node_dir) as dealer:
        dealer.hello(journal.instance)
        dealer.send_slices(journal.slices())
        dealer.flush()

        status = daemon.status()

    assert status["pid"] == daemon.process.pid  # type: ignore[union-attr]  # it runs
    assert status["values_received"] == status["store"]["values"] == 100
    assert status["slices_committed"] == 2
    assert status["commit_latency"]["p99_s"] > 0
    assert status["ack_latency"]["samples"] >= 1
    (client,) = status["clients"]
    assert client["instance"] == journal.instance.hex()
    assert (client["uid"], client["pid"]) == (os.getuid(), os.getpid())
    assert client["queued_bytes"] == 0 < client["credit_bytes"]


# -- one daemon a node directory ---------------------------------------------------------------


@pytest.mark.slow
def test_a_second_daemon_leaves_the_first_alone(daemon: Daemon) -> None:
    """It says who is there, with an exit code of its own."""
    second = subprocess.run(
        daemon.command(), env=daemon.environ(), capture_output=True, text=True, check=False
    )

    assert second.returncode == 13
    assert f"pid {daemon.process.pid}" in second.stderr  # type: ignore[union-attr]  # it runs
    assert daemon.status()["pid"] == daemon.process.pid  # type: ignore[union-attr]  # it runs


def test_a_socket_that_a_killed_daemon_left_is_replaced(
    daemon: Daemon, daemons: MakeDaemon
) -> None:
    """Nobody has to clean up."""
    daemon.kill()
    assert socket_path(daemon.node_dir).exists()

    assert daemons().start().status()["clients"] == []


def test_a_socket_path_may_be_too_long_for_the_system(short_dir: Path, daemons: MakeDaemon) -> None:
    """Then it has a short name elsewhere, which clients find by themselves."""
    deep = short_dir / ("d" * 90) / "node"

    daemon = daemons(deep).start()

    assert len(os.fsencode(socket_path(deep))) <= MAX_SOCKET_PATH_BYTES
    assert daemon.status()["node_dir"] == str(deep)
    daemon.stop()
    assert not socket_path(deep).exists()


def test_a_place_where_nothing_can_listen_is_a_clear_error(daemons: MakeDaemon) -> None:
    """It says what to do."""
    daemon = daemons()
    socket_path(daemon.node_dir).mkdir(parents=True)
    daemon.node_dir.chmod(0o700)

    daemon.start(wait=False)

    assert daemon.process is not None
    assert daemon.process.wait() == 3
    assert "cannot listen" in daemon.text()


@pytest.mark.slow
def test_a_detached_daemon_holds_its_lock_when_the_command_returns(daemons: MakeDaemon) -> None:
    """Whoever started it can rely on its coming up; it logs to its directory and ends by itself."""
    daemon = daemons(idle_s="0.5")
    subprocess.run(daemon.command("--detach"), env=daemon.environ(), check=True)
    lock = daemon.node_dir / "daemon.lock"
    log = daemon.node_dir / "daemon.log"

    wait_until(lock.read_text, "its pid is in the lock")
    wait_until(lambda: "ended: idle" in log.read_text(), "it ends when idle")


@pytest.mark.slow
def test_a_daemon_that_comes_after_the_end_of_its_job_leaves_nothing(daemons: MakeDaemon) -> None:
    """Started for what was logged, on a busy node it may be slower than what it was started for."""
    late = daemons()
    job = {**late.environ(), "SLURM_JOB_ID": "7", "SLURM_CLUSTER_NAME": "c"}
    command = late.command("--detach", "--if-needed")
    subprocess.run(command, env=job, check=True)
    assert not late.node_dir.exists(), "it was cleared"

    (late.node_dir / "journals").mkdir(parents=True, mode=0o700)
    subprocess.run(command, env=job, check=True)
    assert not late.node_dir.exists(), "only directories were there any more"

    site = late.node_dir.parent / "site"
    journal = a_journal(late.node_dir, site=str(site))
    (late.node_dir / "journals").mkdir(parents=True, mode=0o700)
    journal.write(late.node_dir / "journals" / f"{journal.instance.hex()}.cmfj")
    subprocess.run(command, env={**job, "CMFD_IDLE_S": "0.3"}, check=True)
    wait_until(lambda: list((site / "inbox").glob("*.db")), "it is published")
    wait_until(lambda: not late.node_dir.exists(), "and cleared")


def test_what_a_daemon_took_while_it_was_given_up_is_delivered_by_it(
    daemon: Daemon, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy node it listens late, and has the journals by then."""
    site = short_dir / "site"
    journal = a_journal(daemon.node_dir, site=str(site))
    with Dealer(daemon.node_dir) as dealer:
        dealer.hello(journal.instance)
        dealer.send_slices(journal.slices())
        dealer.wait_for(Ack)
    for name, value in daemon.environ().items():
        monkeypatch.setenv(name, value)
    gone = daemon.node_dir / "journals" / "0.cmfj"
    monkeypatch.setattr(deliver, "await_daemon", lambda _node_dir: False)
    monkeypatch.setattr(deliver, "journals_of", lambda _run, _directory: [gone])

    done = CliRunner().invoke(deliver.command, ["--run", RUN.hex()])

    assert (done.exit_code, done.output) == (0, "")
    (pack,) = (site / "inbox").glob("*.db")
    with closing(connect(pack, readonly=True)) as db:
        assert db.execute("SELECT sum(n_values) FROM chunk").fetchone() == (100,)


def test_no_daemon_is_started_where_all_was_delivered_and_cleared(tmp_path: Path) -> None:
    """Nor is the directory made again: there may be nobody left to clear it."""
    settings = Settings(node_dir=tmp_path / "node", journal_dir=tmp_path / "node" / "journals")
    assert not ensure_daemon(settings)
    assert not settings.node_dir.exists()


def test_who_begins_while_a_daemon_ends_is_not_left_without(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw that one runs, and started none."""
    settings = Settings(node_dir=short_dir, journal_dir=short_dir / "journals")
    path = settings.journal_dir / f"{instance(1).hex()}.cmfj"
    begun: list[list[str]] = []

    def serve(*_: object) -> str:
        assert not ensure_daemon(settings)
        path.touch()  # after the last look for journals
        return "idle"

    def become(_program: str, words: list[str]) -> None:
        assert not daemon_runs(short_dir)
        begun.append(words[1:])

    monkeypatch.setattr(main, "_serve", serve)
    monkeypatch.setattr(os, "execv", become)
    run_daemon(settings, idle_s=7.0)
    assert [words[-3:] for words in begun] == [["daemon", "--if-needed", "--idle=7.0"]]
    run_daemon(settings)
    assert len(begun) == 1, "it cannot be read, and no daemon stays for it"


@pytest.mark.slow
def test_a_detached_daemon_keeps_no_file_of_who_started_it(daemons: MakeDaemon) -> None:
    """A script may wait for the end of a pipe that its programs have, or for a lock of theirs."""
    daemon = daemons(idle_s="600")
    lock = daemon.node_dir / "daemon.lock"
    reader, writer = os.pipe()
    with os.fdopen(reader) as end:
        command = daemon.command("--detach")
        subprocess.run(command, env=daemon.environ(), pass_fds=[writer], check=True)
        os.close(writer)
        wait_until(lock.read_text, "it runs")
        try:
            wait_until(lambda: select.select([end], [], [], 0)[0], "nobody has it open any more")
        finally:
            os.kill(int(lock.read_text()), signal.SIGTERM)
    wait_until(lambda: not daemon_runs(daemon.node_dir), "it has ended")


@pytest.mark.slow
def test_a_detached_daemon_is_not_started_twice(daemon: Daemon) -> None:
    """The command says so at once."""
    second = subprocess.run(daemon.command("--detach"), env=daemon.environ(), check=False)

    assert second.returncode == 13


# -- ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_told_to_end_publishes_what_it_has(
    daemon: Daemon, short_dir: Path, number: signal.Signals
) -> None:
    """Also of a run whose processes still live."""
    site = short_dir / "site"
    journal = a_journal(daemon.node_dir, site=str(site))
    with Dealer(daemon.node_dir) as dealer:
        dealer.hello(journal.instance)
        dealer.send_slices(journal.slices())
        dealer.wait_for(Ack)

        assert daemon.stop(number) == 0

    (pack,) = (site / "inbox").glob("*.db")
    with closing(connect(pack, readonly=True)) as db:
        assert db.execute("SELECT sum(n_values) FROM chunk").fetchone() == (100,)
        assert db.execute("SELECT final FROM pack").fetchone() == (0,)
    assert not socket_path(daemon.node_dir).exists()


@pytest.mark.slow
def test_an_idle_daemon_ends(daemons: MakeDaemon) -> None:
    """Nothing is left running on a user's node."""
    daemon = daemons(idle_s="0.3").start()

    assert daemon.process is not None
    assert daemon.process.wait(timeout=20) == 0
    assert not socket_path(daemon.node_dir).exists()


@pytest.mark.slow
def test_a_daemon_whose_directory_was_removed_ends(daemon: Daemon) -> None:
    """It notices within seconds, whatever it has to do: nobody finds it there any more."""
    assert daemon.process is not None
    with Dealer(daemon.node_dir) as dealer:
        dealer.hello(instance(1))
        shutil.rmtree(daemon.node_dir)

        assert daemon.process.wait(timeout=40) == 0
    assert "was removed" in daemon.text()


@pytest.mark.slow
def test_settings_are_read_again_on_a_hangup(daemons: MakeDaemon, short_dir: Path) -> None:
    """And a file that cannot be used changes nothing."""
    config = short_dir / "cmfd.toml"
    config.write_text("seal_grace_s = 5\n")
    daemon = daemons(config=str(config)).start()
    assert daemon.process is not None
    config.write_text("seal_grace_s = 'soon'\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in daemon.text(), "the bad file is refused")

    config.write_text("seal_grace_s = 1\n")
    daemon.process.send_signal(signal.SIGHUP)

    wait_until(lambda: "settings were read again" in daemon.text(), "the good one is taken")
    assert daemon.stop() == 0


@pytest.mark.slow
def test_the_service_manager_hears_of_start_and_end(
    daemons: MakeDaemon, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Type=notify, systemd waits for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(short_dir / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(short_dir / "notify"))
        daemon = daemons().start()
        assert manager.recv(100) == b"READY=1"
        daemon.stop()
        assert manager.recv(100) == b"STOPPING=1"


# -- processes that die ------------------------------------------------------------------------

RANK = textwrap.dedent("""
    import fcntl, os, sys
    from pathlib import Path
    from support.dealer import Dealer
    from support.journals import Journal
    from test_daemon_process import a_journal

    node_dir, number, sent, site = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    journal = a_journal(node_dir, number, site=site)
    path = journal.write(Path(journal.path + ".new"))
    lock = os.open(path, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    path.rename(journal.path)
    if sent != "nothing":
        dealer = Dealer(node_dir)
        dealer.hello(journal.instance, journal.path)
        if sent == "half":
            events, points = journal.blocks
            dealer.send_slices([journal.slice(events, 0, events.n_units)])
            dealer.send_slices([journal.slice(points, 0, 40), journal.slice(points, 70, 80)])
            dealer.flush()
    print("ready", flush=True)
    sys.stdin.read()
""")
"""A rank that has a journal of 100 values, sends some of them, and waits to be killed."""


@pytest.fixture
def ranks(daemon: Daemon) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ranks of a daemon; each is ready when it is returned."""
    here = os.path.dirname(__file__)  # noqa: PTH120 - for a variable
    path = os.pathsep.join([here, os.path.dirname(here)])  # noqa: PTH120 - as above
    started: list[subprocess.Popen[str]] = []

    def start(number: int = 1, sent: str = "half", site: str = "") -> subprocess.Popen[str]:
        rank = subprocess.Popen(
            [sys.executable, "-c", RANK, str(daemon.node_dir), str(number), sent, site],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(rank)
        assert rank.stdout is not None
        assert rank.stdout.readline() == "ready\n"
        return rank

    yield start
    for rank in started:
        rank.kill()
        rank.communicate()


def test_the_rest_of_a_killed_process_is_taken_from_its_journal(
    daemon: Daemon, ranks: Callable[..., subprocess.Popen[str]]
) -> None:
    """What it had not sent, and that it is lost; then its journal is gone."""
    rank = ranks(sent="half")
    rank.kill()

    daemon.wait_for(lambda status: status["instances"] == {}, "the dead process has ended")

    assert steps(daemon) == list(range(100))
    assert not list((daemon.node_dir / "journals").iterdir())
    assert daemon.status()["journals_adopted"] == 1
    with closing(connect(daemon.node_dir / "node.db", readonly=True)) as db:
        assert db.execute("SELECT status FROM process_state").fetchall() == [("lost",)]


def test_a_request_to_seal_takes_in_who_died_before_its_hello(
    daemon: Daemon, ranks: Callable[..., subprocess.Popen[str]], short_dir: Path
) -> None:
    """Nobody ever told the daemon of it, and its values are in the pack."""
    site = short_dir / "site"
    rank = ranks(sent="nothing", site=str(site))
    rank.kill()
    rank.wait()

    reply = request(daemon.node_dir, SealRequest(run=RUN), 30)

    assert isinstance(reply, SealReply)
    assert reply.problem == ""
    (pack,) = reply.packs
    with closing(connect(pack, readonly=True)) as db:
        assert db.execute("SELECT sum(n_values) FROM chunk").fetchone() == (100,)
        assert db.execute("SELECT final FROM pack").fetchone() == (1,)


@pytest.mark.slow
def test_processes_that_die_while_no_daemon_runs_are_taken_in_by_the_next(
    daemon: Daemon, daemons: MakeDaemon, ranks: Callable[..., subprocess.Popen[str]]
) -> None:
    """Those that live are awaited, and their journals left alone."""
    dead, living = ranks(1, "half"), ranks(2, "nothing")
    daemon.kill()
    dead.kill()
    dead.wait()

    again = daemons().start()
    again.wait_for(lambda status: status["instances"] == {"live": 1}, "only the living is left")

    assert sorted(steps(again, 1)) == list(range(100))
    assert steps(again, 2) == []
    living.kill()
    again.wait_for(lambda status: status["instances"] == {}, "it is noticed without a hello")
    assert steps(again, 2) == list(range(100))


@pytest.mark.slow
def test_a_run_is_published_after_its_last_process(
    daemons: MakeDaemon,
    ranks: Callable[..., subprocess.Popen[str]],
    daemon: Daemon,
    short_dir: Path,
) -> None:
    """Without anybody's asking, and merged as well."""
    daemon.stop()
    eager = daemons(seal_grace_s="0.1", auto_merge="true").start()
    site = short_dir / "site"
    rank = ranks(sent="half", site=str(site))
    rank.kill()

    wait_until(lambda: list(site.glob("packs/*/*.db")), "its pack is merged")

    assert not list(site.glob("inbox/*.db"))
    assert eager.status()["runs"] == []


@pytest.mark.slow
def test_a_site_that_cannot_be_written_gets_its_pack_later(
    daemons: MakeDaemon, daemon: Daemon, short_dir: Path
) -> None:
    """The status says why, and nobody has to do anything."""
    daemon.stop()
    eager = daemons(seal_grace_s="0").start()
    site = short_dir / "site"
    site.write_text("in the way")
    journal = a_journal(eager.node_dir, site=str(site))
    journal.write(eager.node_dir / "journals" / f"{journal.instance.hex()}.cmfj")
    reply = request(eager.node_dir, SealRequest(run=RUN), 30)
    assert isinstance(reply, SealReply)
    assert "cannot publish" in reply.problem
    assert all(path.startswith(str(eager.node_dir)) for path in reply.packs)
    (run,) = eager.status()["runs"]
    assert run["state"] == "stuck"

    site.unlink()

    wait_until(lambda: list(site.glob("inbox/*.db")), "the pack arrives")
    left = eager.node_dir / "packs-tmp"
    wait_until(lambda: not list(left.iterdir()), "its copy here goes after that")


@pytest.mark.slow
def test_a_journal_that_is_none_stays_where_it_is(daemon: Daemon, daemons: MakeDaemon) -> None:
    """The daemon says so, and goes on."""
    daemon.stop()
    foreign = daemon.node_dir / "journals" / f"{instance(5).hex()}.cmfj"
    foreign.write_bytes(b"no journal" * 1000)
    os.utime(foreign, (1, 1))

    again = daemons().start()
    again.wait_for(lambda status: status["journals_unreadable"] == 1, "it is noticed")

    assert foreign.exists()
    assert str(foreign) in again.status()["problems"][0]


@pytest.mark.slow
def test_a_journal_that_was_never_begun_is_removed(daemon: Daemon, daemons: MakeDaemon) -> None:
    """Its process was killed before it could write even a header."""
    daemon.stop()
    empty = daemon.node_dir / "journals" / f"{instance(5).hex()}.cmfj"
    empty.touch()
    os.utime(empty, (1, 1))

    daemons().start()

    wait_until(lambda: not empty.exists(), "it is gone")


@pytest.mark.slow
def test_a_journal_that_is_being_made_is_left_alone(daemon: Daemon, daemons: MakeDaemon) -> None:
    """Between its creation and its lock, nobody may touch it."""
    daemon.stop()
    young = daemon.node_dir / "journals" / f"{instance(5).hex()}.cmfj"
    young.touch()

    again = daemons().start()
    again.wait_for(lambda status: status["instances"] == {"live": 1}, "it is awaited")

    assert young.exists()


def test_the_journal_that_a_hello_names_must_be_the_sender_s(daemon: Daemon) -> None:
    """Whatever path a message has, only a journal of that user and instance is believed."""
    other = a_journal(daemon.node_dir, 2)
    other.write(daemon.node_dir / "other.cmfj")
    link = daemon.node_dir / "link.cmfj"
    link.symlink_to(a_journal(daemon.node_dir, 1).write(daemon.node_dir / "mine"))
    with Dealer(daemon.node_dir) as dealer:
        for path in (daemon.node_dir / "other.cmfj", link, "/etc/passwd", "/dev/null", "/"):
            dealer.say(hello(1, path))
            assert "not the journal of this process" in dealer.wait_for(Refused).reason

        assert dealer.hello(instance(1), "/somewhere/in/a/container").committed == []


def hello(number: int, path: Path | str) -> Hello:
    """Return a client's first message."""
    return Hello(protocol=PROTOCOL_VERSION, instance=instance(number), journal=str(path))


def test_a_goodbye_with_something_left_in_the_journal_loses_nothing(daemon: Daemon) -> None:
    """A client may say it too early: the file tells."""
    journal = a_journal(daemon.node_dir)
    path = journal.write(daemon.node_dir / "journals" / f"{journal.instance.hex()}.cmfj")
    with Dealer(daemon.node_dir) as dealer:
        dealer.hello(journal.instance, path)
        dealer.send_slices(journal.slices()[:1])
        dealer.say(Bye())
        daemon.wait_for(lambda status: status["instances"] == {}, "it has ended")

    assert steps(daemon) == list(range(100))
    assert not path.exists()


# -- users -------------------------------------------------------------------------------------

FOREIGNER = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from support.dealer import Dealer
    from support.bench import instance
    from cmfd.wire.messages import *

    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    with Dealer(Path(sys.argv[1])) as dealer:
        for message in (
            Hello(protocol=PROTOCOL_VERSION, instance=instance(1), journal=""),
            SealRequest(run=bytes(16), site="/tmp/mine"),
            StatusRequest(),
        ):
            dealer.say(message)
            answer = dealer.hear(10)
            print(type(answer).__name__, getattr(answer, "document", ""))
""")


def as_nobody(node_dir: Path) -> list[str]:
    """Return what another user is answered to a hello, a request to seal, and for the status."""
    tests = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - for a variable
    done = subprocess.run(
        [sys.executable, "-c", FOREIGNER, str(node_dir)],
        env={**os.environ, "PYTHONPATH": tests},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


@pytest.mark.slow
@as_root
def test_another_user_is_refused_by_a_user_s_daemon(daemon: Daemon, short_dir: Path) -> None:
    """The kernel says who it is, whatever it says of itself."""
    short_dir.chmod(0o755)
    daemon.node_dir.chmod(0o755)
    socket_path(daemon.node_dir).chmod(0o777)

    answers = as_nobody(daemon.node_dir)

    assert [line.split()[0] for line in answers] == ["Refused"] * 3
    assert daemon.status()["clients"] == []


# -- disks that fill up ------------------------------------------------------------------------


@pytest.fixture
def small_disk(short_dir: Path) -> Iterator[Path]:
    """Mount a file system of 4 MiB."""
    disk = short_dir / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a file system here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@as_root
def test_a_full_disk_delays_acknowledgements_and_loses_nothing(
    daemons: MakeDaemon, small_disk: Path
) -> None:
    """Nothing is acknowledged while it is full; when there is space again, everything is."""
    daemon = daemons(small_disk / "node").start()
    ballast = small_disk / "ballast"
    with Dealer(daemon.node_dir) as dealer:
        journal = a_journal(daemon.node_dir, n_points=2000)
        dealer.hello(journal.instance)
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        dealer.send_slices(journal.slices())
        daemon.wait_for(lambda status: status["commits_failed"] >= 2, "commits fail")
        assert "full" in daemon.status()["problems"][0]
        assert dealer.acked == set()
        with Dealer(daemon.node_dir) as newcomer:
            assert newcomer.hello(instance(2)).credit_bytes == 0
            ballast.unlink()
            assert newcomer.wait_for(Ack).credit_bytes > 0
        dealer.flush(timeout_s=40)

        assert dealer.acked == units_of(journal.slices())
    assert daemon.status()["problems"] == []
    assert steps(daemon) == list(range(2000))


@pytest.mark.slow
def test_a_welcome_comes_before_old_journals_are_read(daemon: Daemon, daemons: MakeDaemon) -> None:
    """Whoever died left much, perhaps; the living need not wait for it."""
    daemon.stop()
    for number in range(1, 9):
        journal = a_journal(daemon.node_dir, number, n_points=20_000)
        journal.write(daemon.node_dir / "journals" / f"{journal.instance.hex()}.cmfj")
    again = daemons().start()
    with Dealer(again.node_dir) as dealer:
        assert isinstance(dealer.hello(instance(99)), Welcome)
        again.wait_for(lambda status: status["instances"] == {"live": 1}, "all are taken in")

    assert [len(steps(again, number)) for number in range(1, 9)] == [20_000] * 8


def test_a_daemon_takes_all_the_descriptors_it_may(daemon: Daemon) -> None:
    """A node of 256 ranks needs more than the usual 1024."""
    assert daemon.process is not None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[0] == hard
