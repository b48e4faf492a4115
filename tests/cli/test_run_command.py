"""`cmfd run`: what the command sees, what its caller sees, and what is recorded."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.wrapper import CMFD, PATIENCE_S, Node, eventually

from cmfd.cli import stored
from cmfd.client.start import Plan
from cmfd.config import load
from cmfd.identity import RunIdentity
from cmfd.merge.layout import init_site
from cmfd.merge.lock import merge_lock

if TYPE_CHECKING:
    from pathlib import Path


SHOW = "import os, json; print(json.dumps(dict(os.environ)))"


@pytest.mark.parametrize("code", [0, 1, 3, 126, 127, 255])
def test_the_exit_code_is_the_commands(node: Node, code: int) -> None:
    """Whatever the command exits with, cmfd does."""
    assert node.cmfd("run", "--", "sh", "-c", f"exit {code}").returncode == code
    run = node.last()["run"]
    assert run["exit_code"] == code
    assert run["status"] == ("failed" if code else "completed")


def test_a_command_that_is_not_there_ends_with_127(node: Node) -> None:
    """As shells do, with a message; and the attempt is recorded."""
    done = node.cmfd("run", "--", "no-such-command")
    assert done.returncode == 127
    assert b"no-such-command: No such file" in done.stderr
    assert node.last()["run"]["exit_code"] == 127


def test_nobody_need_read_what_it_says(node: Node) -> None:
    """Standard error may be a pipe whose reader has left; the exit code is the same."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        for words, code in (("nowhere/nothing", 127), ("false", 1)):
            assert node.start("run", "--", words, stderr=gone).wait(PATIENCE_S) == code


@pytest.mark.slow
def test_a_file_that_is_no_program_ends_with_126(node: Node) -> None:
    """A file without permission to execute, a directory, and a script without its interpreter."""
    script = node.cwd / "script"
    script.write_text("#!/no/such/interpreter\n")
    assert node.cmfd("run", "--", "./script").returncode == 126
    script.chmod(0o755)
    assert node.cmfd("run", "--", "./script").returncode == 126
    assert node.cmfd("run", "--", str(node.cwd)).returncode == 126


def test_a_script_without_interpreter_line_runs(node: Node) -> None:
    """Shells run such a file themselves; its arguments arrive."""
    script = node.cwd / "plain"
    script.write_text('echo "got $1"\n')
    script.chmod(0o755)
    assert node.cmfd("run", "--", "./plain", "this").stdout == b"got this\n"


def test_the_streams_are_the_commands(node: Node) -> None:
    """Standard input and output pass byte for byte; the summary is on standard error."""
    data = bytes(range(256)) * 1000
    done = node.cmfd("run", "--", "cat", stdin=data)
    assert done.stdout == data
    assert b"completed" in done.stderr


@pytest.mark.slow
def test_the_commands_options_are_its_own(node: Node) -> None:
    """What follows the command is not read by cmfd, with or without the two dashes."""
    for dashes in ((), ("--",)):
        done = node.cmfd("run", "-q", *dashes, "echo", "--json", "-q", "--", "x")
        assert done.stdout == b"--json -q -- x\n"


def test_the_environment_is_handed_down(node: Node) -> None:
    """The command knows its run and execution; nothing else is changed."""
    done = node.cmfd("run", "--pipeline", "P", "--stage", "S", "--", sys.executable, "-c", SHOW)
    seen, given = json.loads(done.stdout), node.environment()
    found = node.last()
    assert seen["CMFD_RUN"] == found["run"]["run"]
    assert seen["CMFD_EXECUTION"] == found["executions"][0]["execution"]
    assert (seen["CMFD_PIPELINE"], seen["CMFD_STAGE"]) == ("P", "S")
    assert seen["CMFD_SITE"] == str(node.site)
    others = {key: value for key, value in seen.items() if not key.startswith("CMFD_")}
    assert others == {key: value for key, value in given.items() if not key.startswith("CMFD_")} | {
        key: others[key]
        for key in ("LC_CTYPE",)
        if key in others  # Python's own, in a C locale
    }


def test_the_command_has_the_signal_state_of_its_caller(node: Node) -> None:
    """No signal is blocked, none ignored that was not, and no other file is open."""
    look = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l"
    done = node.cmfd("run", "-q", "--", "sh", "-c", look)
    blocked, ignored, n_open = done.stdout.split(b"\n")[:3]
    assert int(blocked.split()[1], 16) == 0
    # posix_spawn of the GNU C library leaves its own two (32, 33) ignored, for all it starts.
    assert int(ignored.split()[1], 16) & ~(0b11 << 31) == 0
    assert int(n_open) == 4  # 0, 1, 2 and the directory that ls reads


@pytest.mark.slow
def test_an_input_that_is_not_there_is_said(node: Node) -> None:
    """Also where nothing else is: its lineage would be missing, and nobody would know why."""
    for words in (("-q",), ()):
        done = node.cmfd("run", *words, "-i", "nofile", "--", "true")
        assert done.returncode == 0
        said = [line for line in done.stderr.splitlines() if b"nofile" in line]
        assert len(said) == 1
        assert b"No such file" in said[0]


def test_what_is_said_is_recorded(node: Node) -> None:
    """Parameters have the types of their JSON; inputs and outputs have digests."""
    (node.cwd / "in.txt").write_text("in")
    node.cmfd(
        "run", "--name", "my run", "--param", "n=3", "--param", "rate=1e-4", "--param", "on=true",
        "--param", "kind=rbf", "-i", "in.txt", "-o", "out.txt", "--", "cp", "in.txt", "out.txt",
    )  # fmt: skip
    found = node.last()
    assert {one["key"]: (one["type"], one["value"]) for one in found["params"]} == {
        "n": ("int", 3),
        "rate": ("float", 1e-4),
        "on": ("bool", True),
        "kind": ("str", "rbf"),
    }
    artifacts = [(one["direction"], one["path"], one["digest"]) for one in found["artifacts"]]
    same = "md5:13b5bfe96f3e2fe411c9f66f4a582adf"
    assert artifacts == [("input", "in.txt", same), ("output", "out.txt", same)]
    run, (execution,) = found["run"], found["executions"]
    assert run["name"] == "my run"
    assert run["command"] == "cp in.txt out.txt"
    assert (execution["pipeline"], execution["stage"]) == ("work", "cp")
    assert execution["environment"]
    assert found["processes"][0]["role"] == "wrapper"
    assert found["wall_ns"] > 0
    assert found["run"]["max_rss_bytes"] > 0


@pytest.mark.slow
def test_cpu_time_is_that_of_the_command(node: Node) -> None:
    """Half a second of work shows, that of a grandchild included."""
    work = "import time\nwhile time.process_time() < 0.5: pass"
    node.cmfd("run", "--", "sh", "-c", f"{sys.executable} -c '{work}'; true")
    assert node.last()["cpu_ns"] >= 5e8


@pytest.mark.slow
def test_what_the_command_logs_is_in_the_same_execution(node: Node) -> None:
    """The program's parameters and metrics join the wrapper's execution, and the summary."""
    program = node.cwd / "train.py"
    program.write_text(
        "import cmfd\n"
        "with cmfd.start() as ex:\n"
        "    ex.params(C=10)\n"
        "    for step in range(5):\n"
        "        ex.metric('accuracy', step / 10, step=step)\n"
    )
    done = node.cmfd("run", "--pipeline", "digits", "--", sys.executable, "train.py")
    found = node.last()
    (execution,) = found["executions"]
    assert (execution["pipeline"], execution["stage"]) == ("digits", "train")
    assert sorted(process["role"] for process in found["processes"]) == ["rank", "wrapper"]
    (metric,) = found["metrics"]
    assert (metric["first"], metric["last"], metric["best"]) == (0.0, 0.4, 0.4)
    summary = done.stderr.decode()
    assert "C = 10" in summary
    assert "accuracy: first 0, last 0.4, best 0.4 (5 values)" in summary


def test_secrets_of_a_command_line_stay_in_it(node: Node) -> None:
    """What is recorded of a command is shown to others one day."""
    node.cmfd("run", "--", "true", "--password=hunter2hunter2", "--lr=1")

    for path in node.site.rglob("*.db"):
        assert b"hunter2" not in path.read_bytes()
    assert b"--lr=1" in node.cmfd("show", "last").stdout


def test_a_run_within_a_run_is_part_of_it(node: Node) -> None:
    """One run with two executions, the inner one nested; one summary."""
    inner = (sys.executable, "-m", "cmfd", "run", "--stage", "inner", "--", "true")
    done = node.cmfd("run", "--stage", "outer", "--", *inner)
    assert done.stderr.count(b"stored in") == 1
    found = node.last()
    outer, nested = found["executions"]
    assert (outer["stage"], nested["stage"]) == ("outer", "inner")
    assert nested["parent"] == outer["execution"]


def test_quiet_says_nothing(node: Node) -> None:
    """With --quiet, standard error is the command's alone."""
    assert node.cmfd("run", "-q", "--", "true").stderr == b""


def test_json_is_the_last_line_of_standard_error(node: Node) -> None:
    """With --json, the summary is one line after what the command said."""
    done = node.cmfd("run", "--json", "--", "sh", "-c", "echo said >&2")
    said, summary = done.stderr.decode().splitlines()
    assert said == "said"
    found = json.loads(summary)
    assert found["run"]["status"] == "completed"
    assert found["site"] == str(node.site)


def test_a_wrong_option_starts_nothing(node: Node) -> None:
    """A usage error is told before anything runs."""
    done = node.cmfd("run", "--param", "novalue", "--", "touch", "witness")
    assert done.returncode == 2
    assert not (node.cwd / "witness").exists()


def test_a_useless_run_id_does_not_stop_the_command(node: Node) -> None:
    """What cannot be recorded is told once, and the command runs all the same."""
    node.environ["CMFD_RUN"] = "not-an-id"
    try:
        done = node.cmfd("run", "--", "sh", "-c", "echo ran; exit 5")
    finally:
        del node.environ["CMFD_RUN"]
    assert (done.stdout, done.returncode) == (b"ran\n", 5)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.slow
def test_a_site_that_cannot_be_made_costs_nothing(node: Node, tmp_path: Path) -> None:
    """The exit code stays, the message says how to merge the run later, and that works."""
    obstacle = tmp_path / "file"
    obstacle.write_text("in the way")
    site = obstacle / "site"
    done = node.cmfd("run", "--site", str(site), "--", "sh", "-c", "exit 4")
    assert done.returncode == 4
    told = done.stderr.decode().strip().rpartition("cmfd merge ")[2].split()
    assert told == [str(node.node_dir)]
    obstacle.unlink()
    assert node.cmfd("merge", *told).returncode == 0
    assert node.json("show", "last", "--site", str(site))["run"]["exit_code"] == 4


@pytest.mark.slow
def test_without_a_daemon_the_journals_are_merged(lone_node: Node) -> None:
    """Where no daemon may be started, the run is in the site all the same, and only this run."""
    lone_node.cmfd("run", "--param", "n=1", "--", "true")
    done = lone_node.cmfd("run", "--param", "n=2", "--", "sh", "-c", "exit 6")
    assert done.returncode == 6
    assert b"stored in" in done.stderr
    found = lone_node.last()
    assert found["run"]["exit_code"] == 6
    assert [one["value"] for one in found["params"]] == [2]
    assert len(lone_node.json("runs")) == 2


@pytest.mark.slow
def test_a_merge_takes_runs_to_the_sites_that_they_named(lone_node: Node) -> None:
    """Unless it is told a site: then all of them go to that one."""
    other = str(lone_node.path / "other")
    lone_node.environ["CMFD_AUTO_MERGE"] = "false"
    lone_node.cmfd("run", "--name", "here", "--", "true")
    lone_node.cmfd("run", "--name", "there", "--site", other, "--", "true")

    done = lone_node.json("merge", str(lone_node.node_dir))

    assert [done["absorbed"], *(one["absorbed"] for one in done["others"])] == [1, 1]
    assert [run["name"] for run in lone_node.json("runs")] == ["here"]
    assert [run["name"] for run in lone_node.json("runs", "--site", other)] == ["there"]
    lone_node.cmfd("merge", "--site", other, str(lone_node.node_dir))
    assert len(lone_node.json("runs", "--site", other)) == 2


def test_without_a_node_directory_the_command_runs(lone_node: Node) -> None:
    """Nothing can be recorded: one warning, and the command's exit code."""
    lone_node.node_dir.write_text("in the way")
    done = lone_node.cmfd("run", "--", "sh", "-c", "echo ran; exit 7")
    assert (done.stdout, done.returncode) == (b"ran\n", 7)
    assert done.stderr.count(b"CMFD_NODE_DIR") == 1
    assert b"kept in" not in done.stderr


@pytest.mark.slow
def test_a_daemon_is_started_and_goes_when_idle(tmp_path: Path) -> None:
    """The first run starts one; it serves the second, and ends by itself."""
    node = Node(tmp_path, {"CMFD_IDLE_S": "1", "CMFD_SEAL_GRACE_S": "0.1"})
    try:
        assert b"stored in" in node.cmfd("run", "--", "true").stderr
        assert "serves" in (node.node_dir / "daemon.log").read_text()
        assert b"stored in" in node.cmfd("run", "--", "true").stderr
        eventually(lambda: node.cmfd("status").returncode == 7, "the idle daemon's end")
    finally:
        node.end_daemon()


def test_a_test_ends_no_process_but_its_daemon(tmp_path: Path) -> None:
    """The lock file of a daemon that is gone has a number that may be somebody else's by now."""
    node = Node(tmp_path)
    node.node_dir.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as other:
        try:
            (node.node_dir / "daemon.lock").write_text(f"{other.pid}\n")
            node.end_daemon()
            assert other.poll() is None
        finally:
            other.kill()


KILLER = """
import cmfd, os, signal, time
with cmfd.start() as ex:
    for step in range(200_000):
        ex.metric("loss", 1.0 / (step + 1), step=step)
        if step % 50_000 == 49_999:
            while not ex.flush():
                time.sleep(0.05)  # until the daemon is up
    with open(os.environ["CMFD_NODE_DIR"] + "/daemon.lock") as lock:
        os.kill(int(lock.read()), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_daemon_that_was_killed_under_a_run_is_replaced_at_its_end(tmp_path: Path) -> None:
    """What it had committed is in no journal any more: only a daemon can publish it."""
    node = Node(tmp_path)
    try:
        done = node.cmfd("run", "--", sys.executable, "-c", KILLER)
        assert (done.returncode, b"stored in" in done.stderr) == (0, True), done.stderr
        (metric,) = node.last()["metrics"]
        assert metric["n_values"] == 200_000
    finally:
        node.end_daemon()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_command_killed_by_a_signal_ends_cmfd_by_it(node: Node, number: signal.Signals) -> None:
    """Whoever waits sees the same signal, and it is recorded; cmfd leaves no core of its own."""
    done = node.cmfd("run", "--", "sh", "-c", f"kill -{number.value} $$")
    assert done.returncode == -number
    run = node.last()["run"]
    assert run["signal"] == number
    assert run["status"] == ("cancelled" if number == signal.SIGTERM else "failed")
    assert not list(node.cwd.glob("core*"))


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_obstacle(node: Node, stream: str) -> None:
    """A caller may have closed any of the standard streams; the command sees the same."""
    line = f"{' '.join(CMFD)} run -- sh -c 'exit 3' {stream}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=node.cwd, env=node.environment(), capture_output=True, check=False
    )
    assert done.returncode == 3
    assert node.last()["run"]["exit_code"] == 3


@pytest.mark.slow
def test_a_daemon_that_does_not_answer_is_not_waited_for_long(tmp_path: Path) -> None:
    """It was stopped: the run comes from its journal, and ^C ends even the short wait."""
    node = Node(tmp_path)
    daemon = node.start("daemon", "--idle", "0", stderr=subprocess.DEVNULL)
    try:
        eventually((node.node_dir / "daemon.sock").exists, "the daemon")
        daemon.send_signal(signal.SIGSTOP)
        done = node.cmfd("run", "--", "sh", "-c", "exit 3")
        assert done.returncode == 3
        assert b"stored in" in done.stderr
        wrapper = node.start("run", "--", "sh", "-c", "trap '' TERM; echo up; exit 4",
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        assert wrapper.stdout is not None
        assert wrapper.stdout.readline() == b"up\n"

        def interrupted() -> bool:
            wrapper.send_signal(signal.SIGTERM)
            return wrapper.poll() is not None

        eventually(interrupted, "the wrapper's end")
        assert wrapper.returncode == 4
        _, said = wrapper.communicate()
        assert b"interrupted" in said
    finally:
        daemon.send_signal(signal.SIGCONT)
        daemon.terminate()
        assert daemon.wait(60) == 0
    assert len(node.json("runs")) >= 1


@pytest.mark.slow
def test_a_name_given_by_the_program_is_the_runs(node: Node) -> None:
    """The wrapper began the run without one; commands then know the run by it."""
    code = "import cmfd; cmfd.start(name='second try').end()"
    node.cmfd("run", "--", sys.executable, "-c", code)

    assert node.last()["run"]["name"] == "second try"
    assert node.json("show", "second try")["run"]["name"] == "second try"


@pytest.mark.slow
def test_code_and_python_are_shown(node: Node) -> None:
    """Which commit, and whether something was changed."""
    for words in (["init", "-q", "-b", "trunk"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        (node.cwd / "file").write_text("content")
        git = ["git", "-c", "user.name=me", "-c", "user.email=me@here"]
        subprocess.run([*git, *words], cwd=node.cwd, check=True)
    (node.cwd / "file").write_text("changed")
    node.cmfd("run", "--", sys.executable, "-c", "import cmfd; cmfd.start().end()")

    shown = node.cmfd("show", "last").stdout.decode()
    (environment,) = node.last()["environments"]
    assert environment["document"]["code"]["commit"][:12] in shown
    assert "trunk" in shown
    assert "with uncommitted changes" in shown


@pytest.mark.slow
def test_an_execution_has_the_cpu_time_of_its_own_time(node: Node) -> None:
    """Not what the process used before it."""
    code = (
        "import time, cmfd\n"
        "while time.process_time() < 1: pass\n"
        "for stage in ('a', 'b'): cmfd.start(stage=stage).end()\n"
    )
    node.cmfd("run", "--stage", "outer", "--", sys.executable, "-c", code)

    ranks = [p for p in node.last()["processes"] if p["role"] == "rank"]
    assert len(ranks) == 2
    assert all(p["cpu_user_ns"] + p["cpu_system_ns"] < 1e9 for p in ranks)


@pytest.mark.slow
def test_a_command_in_a_directory_that_is_gone_is_recorded(lone_node: Node) -> None:
    """A job may have removed where it was submitted."""
    inner = lone_node.cwd / "gone"
    inner.mkdir()
    words = shlex.join((*CMFD, "run", "--site", str(lone_node.site), "--", "/bin/echo", "done"))
    done = subprocess.run(
        ("sh", "-c", f"rmdir {shlex.quote(str(inner))}; {words}"),
        cwd=inner, env=lone_node.environment(), capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"done\n")
    assert b"completed" in done.stderr


@pytest.mark.slow
def test_a_merge_for_a_site_that_is_away_names_no_file_of_its_own(lone_node: Node) -> None:
    """What it made on the way is gone by then; what there is to do is the same once more."""
    lone_node.cmfd("run", "-q", "--site", "/proc/away", "--", "true")
    done = lone_node.cmfd("merge", str(lone_node.node_dir))
    assert done.returncode == 12, done.stderr
    assert b"/proc/away: cannot be written: " in done.stderr
    assert b"repeat this" in done.stderr
    assert b"cmfd-merge-" not in done.stderr


@pytest.mark.slow
def test_the_summary_waits_a_little_for_another_merger(lone_node: Node) -> None:
    """The daemon's own merger is at work often, when a command ends; it takes the run as well."""
    site = init_site(lone_node.site)
    with merge_lock(site.lock):
        started = lone_node.start("run", "--", "true", stderr=subprocess.PIPE)
        eventually(lambda: list(site.inbox.glob("*.db")), "the pack of the run")
    _, said = started.communicate(timeout=PATIENCE_S)
    assert b"completed" in said


@pytest.mark.parametrize(("derived_from", "waits"), [("new", True), ("slurm", False)])
def test_a_job_is_not_prolonged_by_another_merger(
    monkeypatch: pytest.MonkeyPatch, derived_from: str, *, waits: bool
) -> None:
    """Only who has come to an end with the run waits to see it."""
    run = RunIdentity(bytes(16), derived_from=derived_from)
    plan = Plan(run, bytes(16), None, "p", "s", "", "/site")
    asked: list[float] = []
    monkeypatch.setattr(stored, "store", lambda *_, patience_s: asked.append(patience_s))

    stored.finish(plan, load(), as_json=False, quiet=False)
    stored.finish(plan, load(), as_json=False, quiet=True)

    assert [seconds > 0 for seconds in asked] == [waits, waits]
