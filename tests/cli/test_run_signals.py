"""`cmfd run` and signals: the command gets each once, and cmfd ends as the command did."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.wrapper import CMFD, PATIENCE_S, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.wrapper import Node

LISTENER = """
import os, signal, sys, time

def say(*words):  # not print(), which a signal that comes within it may not enter again
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def heard(number, frame):
    say(signal.Signals(number).name)
    if number == int(sys.argv[1]):
        time.sleep(0.2)  # for a second delivery to come, if there were one
        sys.exit(9)

for name in ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "CONT", "TSTP"):
    signal.signal(getattr(signal, "SIG" + name), heard)
say("ready", os.getpid())
while True:
    signal.pause()
"""
"""Prints each signal it gets, and exits with 9 on the one that is its argument."""

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]


def listen(node: Node, last: int, **options: object) -> subprocess.Popen[bytes]:
    """Start a wrapper whose command listens for signals, and wait until it does."""
    wrapper = node.start(
        "run", "-q", "--", sys.executable, "-c", LISTENER, str(int(last)),
        stdout=subprocess.PIPE, **options,
    )  # fmt: skip
    assert line(wrapper).startswith("ready")
    return wrapper


def line(wrapper: subprocess.Popen[bytes]) -> str:
    """Return the next line that the command prints."""
    assert wrapper.stdout is not None
    return wrapper.stdout.readline().decode().strip()


def pending(wrapper: subprocess.Popen[bytes]) -> int:
    """Return which signals wait for the wrapper: of two that are the same, one is lost."""
    status = Path("/proc", str(wrapper.pid), "status").read_text("ascii")
    masks = re.findall(r"^(?:Sig|Shd)Pnd:\s*(\w+)$", status, re.MULTILINE)
    return sum(int(mask, 16) for mask in masks)


def rest(wrapper: subprocess.Popen[bytes]) -> list[str]:
    """Return what the command still prints until it ends."""
    out, _ = wrapper.communicate(timeout=PATIENCE_S)
    return out.decode().split()


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_sent_to_the_wrapper_reaches_the_command_once(
    node: Node, number: signal.Signals
) -> None:
    """The command handles it and exits as it likes; the wrapper exits with that."""
    wrapper = listen(node, number)
    wrapper.send_signal(number)
    assert rest(wrapper) == [number.name]
    assert wrapper.returncode == 9


def test_several_signals_arrive_in_their_order(node: Node) -> None:
    """The command goes on after those that it handles."""
    wrapper = listen(node, signal.SIGTERM)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGCONT, signal.SIGTSTP):
        wrapper.send_signal(number)
        assert line(wrapper) == number.name
    wrapper.send_signal(signal.SIGTERM)
    assert rest(wrapper) == ["SIGTERM"]
    assert wrapper.returncode == 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_that_a_forwarded_signal_kills_is_recorded(
    node: Node, number: signal.Signals
) -> None:
    """The wrapper dies by the same signal, after the run was stored as cancelled."""
    wrapper = node.start("run", "-q", "--", "sh", "-c", "echo ready; exec sleep 600",
                         stdout=subprocess.PIPE)  # fmt: skip
    assert line(wrapper) == "ready"
    wrapper.send_signal(number)
    rest(wrapper)
    assert wrapper.returncode == -number
    run = node.last()["run"]
    assert (run["status"], run["signal"]) == ("cancelled", number)


def test_a_signal_to_the_whole_group_does_not_come_back(node: Node) -> None:
    """When the command signals its own group, the wrapper does not send it once more."""
    program = LISTENER.replace('say("ready", os.getpid())', "os.kill(0, 10)")
    wrapper = node.start(
        "run", "-q", "--", sys.executable, "-c", program, str(int(signal.SIGUSR1)),
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert rest(wrapper) == ["SIGUSR1"]


@pytest.mark.slow
@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_in_a_job_a_signal_reaches_the_command_once(
    node: Node,
    send: Callable[[int, int], None],
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SLURM signals the first process of a job alone, or each of them."""
    monkeypatch.setitem(node.environ, "SLURM_JOB_ID", "7")
    wrapper = listen(node, number, start_new_session=True)
    send(wrapper.pid, number)
    assert rest(wrapper) == [number.name]
    assert wrapper.returncode == 9


@pytest.mark.slow
def test_in_a_job_each_signal_is_one(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all processes heard before does not stand for what only the first one gets."""
    monkeypatch.setitem(node.environ, "SLURM_JOB_ID", "7")
    wrapper = listen(node, signal.SIGTERM, start_new_session=True)
    for send in (os.kill, os.killpg, os.kill, os.kill, os.killpg):
        send(wrapper.pid, signal.SIGUSR1)
        assert line(wrapper) == "SIGUSR1"
        eventually(lambda: not pending(wrapper), "the wrapper to take it, too")
    os.kill(wrapper.pid, signal.SIGTERM)
    assert rest(wrapper) == ["SIGTERM"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user's program")
def test_a_command_that_became_another_user_s_is_waited_for(node: Node) -> None:
    """It may not be signalled then, as with sudo; the wrapper goes on all the same."""
    may_not_kill = ("setpriv", "--bounding-set=-kill")
    nobody = ("setpriv", "--reuid=65534", "--clear-groups")
    script = "echo ready; read line; exit 5"
    wrapper = subprocess.Popen(
        [*may_not_kill, *CMFD, "run", "-q", "--", *nobody, "sh", "-c", script],
        cwd=node.cwd, env=node.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert line(wrapper) == "ready"
    wrapper.send_signal(signal.SIGTERM)
    wrapper.send_signal(signal.SIGUSR1)
    wrapper.communicate(b"go on\n", timeout=PATIENCE_S)
    assert wrapper.returncode == 5


def test_an_ignored_signal_stays_ignored(node: Node) -> None:
    """Under nohup, neither the wrapper nor the command minds a hang-up."""
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    wrapper = subprocess.Popen(
        [*ignoring, *CMFD, "run", "-q", "--", "sh", "-c", "echo ready; read answer; exit 5"],
        cwd=node.cwd, env=node.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert line(wrapper) == "ready"
    wrapper.send_signal(signal.SIGHUP)
    wrapper.communicate(b"go on\n", timeout=PATIENCE_S)
    assert wrapper.returncode == 5


@pytest.mark.slow
def test_a_killed_wrapper_leaves_its_command_alone(node: Node, tmp_path: Path) -> None:
    """Kill -9 of the wrapper: the command goes on to its end, and the run is known as lost."""
    program = f"echo ready; read answer; echo done > {tmp_path / 'witness'}"
    wrapper = node.start("run", "-q", "--name", "orphan", "--", "sh", "-c", program,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert line(wrapper) == "ready"
    eventually(lambda: node.json("status")["daemon"]["clients"], "the daemon to know it")
    wrapper.kill()
    wrapper.wait(PATIENCE_S)
    wrapper.communicate(b"go on\n", timeout=PATIENCE_S)
    eventually((tmp_path / "witness").exists, "the command's end")

    def found() -> bool:
        runs = node.json("runs") if (node.site / "index.db").exists() else []
        return any(run["name"] == "orphan" and run["status"] == "lost" for run in runs)

    eventually(found, "the daemon's word on the run")


class Terminal:
    """A pseudo-terminal with a wrapper in its foreground, as a shell would start it."""

    def __init__(self, node: Node, *command: str) -> None:
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(node.cwd)
            words = (*CMFD, "run", "-q", "--", *command)
            os.execve(words[0], words, node.environment())
        self._said = b""
        self.until(b"\n")
        self.program = int(self._said.split()[1])

    def until(self, word: bytes) -> None:
        """Read until a word was said."""
        while word not in self._said:
            self._said += os.read(self.fd, 4096)

    def words(self) -> list[str]:
        """Return every signal that was said so far, as the command ends."""
        try:
            while data := os.read(self.fd, 4096):
                self._said += data
        except OSError:  # how Linux says that nobody has the terminal open any more
            pass
        return re.findall("SIG[A-Z0-9]+", self._said.decode())  # "^C" may stand before one

    def wait(self, options: int = 0) -> int:
        """Wait for the wrapper to end, or with WUNTRACED to stop."""
        _, status = os.waitpid(self.pid, options)
        return status

    def close(self) -> None:
        """Hang up, and see to it that nothing goes on."""
        os.close(self.fd)
        with suppress(ProcessLookupError):
            os.kill(self.program, signal.SIGKILL)


@pytest.mark.parametrize(("key", "number"), [(b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)])
def test_a_key_of_the_terminal_reaches_the_command_once(
    node: Node, key: bytes, number: signal.Signals
) -> None:
    """The terminal signals the whole group: the wrapper must not do so again."""
    with closing(Terminal(node, sys.executable, "-c", LISTENER, str(int(number)))) as terminal:
        os.write(terminal.fd, key)
        assert terminal.words() == [number.name]
        assert os.waitstatus_to_exitcode(terminal.wait()) == 9


def test_a_stopped_command_stops_the_wrapper(node: Node) -> None:
    """^Z and fg: whoever started the wrapper sees it stop; continued, both go on."""
    listener = (sys.executable, "-c", LISTENER, str(int(signal.SIGTERM)))
    with closing(Terminal(node, *listener)) as terminal:
        os.kill(terminal.program, signal.SIGSTOP)
        assert os.WIFSTOPPED(terminal.wait(os.WUNTRACED))
        os.killpg(terminal.pid, signal.SIGCONT)
        terminal.until(b"SIGCONT")
        os.kill(terminal.pid, signal.SIGTERM)
        terminal.words()
        assert os.waitstatus_to_exitcode(terminal.wait()) == 9


def test_a_shell_can_stop_and_continue_it(node: Node) -> None:
    """^Z, fg, and an answer typed: nothing shows that a wrapper is there."""
    pid, fd = pty.fork()
    if not pid:
        os.chdir(node.cwd)
        shell = ("/bin/bash", "--norc", "--noprofile", "-i")
        os.execve(shell[0], shell, node.environment())
    typed = f"""{" ".join(CMFD)} run -q -- sh -c 'echo re""ady; read answer; exit $answer'\n"""
    said = b""
    for answer, until in (
        (typed.encode(), b"ready"),
        (b"\x1a", b"Stopped"),
        (b"fg\n", b"answer"),
        (b"7\necho co''de=$?\n", b"code=7"),
        (b"exit\n", b"exit"),
    ):
        os.write(fd, answer)
        said = b""
        while until not in said:
            said += os.read(fd, 4096)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(fd)
