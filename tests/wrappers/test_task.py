"""A program under `cmfd-srun` runs as it runs without, whatever becomes of what is recorded."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.tasks import CMFD_SRUN, WRAPPERS, Step

if TYPE_CHECKING:
    from pathlib import Path

SIGNALS = [
    number for number in sorted(signal.valid_signals())
    if number not in {
        signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT,
        signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG,
    }
]  # fmt: skip
DIES = "import os, signal, sys; n = int(sys.argv[1]); n in (9,) or signal.signal(n, 0)\n"
DIES += "os.kill(os.getpid(), n)"


@pytest.fixture
def step(tmp_path: Path) -> Step:
    """Give a step whose tasks do not deliver."""
    return Step(tmp_path)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 125, 126, 127, 128, 129, 130, 137, 139, 143, 255])
def test_exit_codes_are_the_programs(step: Step, code: int) -> None:
    """Also those that a shell says of signals."""
    assert step.run("sh", "-c", f"exit {code}").returncode == code
    assert (step.state().exit_code, step.state().signal) == (code, None)
    assert step.state().status == ("failed" if code else "completed")


@pytest.mark.slow
def test_every_exit_code_is_the_programs(step: Step) -> None:
    """From 0 to 255."""
    found = [step.run("sh", "-c", f"exit {code}").returncode for code in range(256)]

    assert found == list(range(256))


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_it_dies_by_the_signal_that_the_program_died_by(step: Step, number: int) -> None:
    """Of all signals that end a process."""
    done = step.run(sys.executable, "-S", "-c", DIES, str(number))

    assert done.returncode == -number
    assert (step.state().exit_code, step.state().signal) == (None, number)


def test_a_crash_leaves_no_core_file_of_the_wrapper(step: Step) -> None:
    """The program may leave one; it is not overwritten."""
    done = step.run("sh", "-c", "kill -SEGV $$", preexec_fn=_allow_core_files)

    assert done.returncode == -signal.SIGSEGV
    assert (step.state().status, step.state().signal) == ("failed", signal.SIGSEGV)
    assert len(list(step.cwd.glob("core*"))) <= 1


def _allow_core_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def test_a_program_that_is_not_there(step: Step) -> None:
    """As a shell says of one."""
    assert step.run("/nowhere/at-all").returncode == 127
    assert step.run(str(step.cwd)).returncode == 126


def test_streams_pass_unchanged(step: Step) -> None:
    """Every byte of standard input, output and error."""
    data = os.urandom(1 << 20)
    done = step.run("sh", "-c", "tee /dev/stderr", input=data)

    assert done.stdout == data
    assert done.stderr == data


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_stay_closed(step: Step, closed: tuple[int, ...]) -> None:
    """And are nobody else's files."""
    program = (
        f"import os, sys\nfor fd in {(*closed, *range(3, 300))}:\n try: os.fstat(fd)\n"
        " except OSError: continue\n os._exit(9)\nos._exit(5)"
    )

    def close() -> None:
        for number in closed:
            os.close(number)

    command = (sys.executable, "-S", "-c", program)
    done = step.run(*command, preexec_fn=close, capture_output=False)

    assert done.returncode == 5
    assert step.state().exit_code == 5


@pytest.mark.parametrize("most", [8, 12, 13])
def test_where_no_more_files_may_be_open_the_program_has_its_own(step: Step, most: int) -> None:
    """It runs as it is, unrecorded: its streams are moved out of the way nowhere."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    done = step.run("sh", "-c", "cat; exit 5", input=b"x", preexec_fn=limit)

    assert done.stdout == b"x"
    assert done.returncode == 5


def test_the_program_has_no_other_files_open(step: Step) -> None:
    """And those that it is given."""
    program = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "wb"):
        command = (sys.executable, "-S", "-c", program)
        bare = subprocess.run(command, capture_output=True, check=True, pass_fds=(write,))

        assert step.run(*command, pass_fds=(write,)).stdout == bare.stdout


def test_the_environment_is_the_same_and_says_what_it_is_part_of(step: Step) -> None:
    """A shell's own variable apart."""
    odd = {
        "name": "a",
        "i": "b",
        "x": "c",
        "PWD": str(step.cwd),
        "LC_ALL": "C.UTF-8",
        "a b": "1\n2",
        "SHLVL": "3",
    }
    done = step.run("env", "-0", env={**odd, "BASH_ENV": "/nowhere", "BASH_FUNC_f%%": "() { :; }"})
    said = dict(item.split("=", 1) for item in done.stdout.decode().split("\0")[:-1])
    given = step.variables({**odd, "BASH_ENV": "/nowhere", "BASH_FUNC_f%%": "() { :; }"})

    added = {key for key in said if said[key] != given.get(key)}
    assert added - {"_"} == {"CMFD_RUN", "CMFD_EXECUTION", "CMFD_PIPELINE", "CMFD_STAGE"}
    assert set(given) - set(said) <= {"_"}


def test_signals_are_to_the_program_what_they_were(step: Step) -> None:
    """Neither ignored nor blocked nor caught, where they were not before."""
    command = ("grep", "^Sig[BIC]", "/proc/self/status")
    bare = subprocess.run(command, capture_output=True, check=True)

    assert step.run(*command).stdout == bare.stdout


def test_what_is_ignored_stays_ignored(step: Step) -> None:
    """As nohup has it."""
    command = ("grep", "^SigIgn", "/proc/self/status")

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    bare = subprocess.run(command, capture_output=True, check=True, preexec_fn=ignore)
    assert step.run(*command, preexec_fn=ignore).stdout == bare.stdout


CAREFUL = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(60)
"""


def test_a_signal_to_the_step_is_the_programs_to_answer(step: Step) -> None:
    """SLURM sends it to every process; the program gets it once, and the wrapper lives on."""
    task = step.popen(sys.executable, "-c", CAREFUL, start_new_session=True)
    with task:
        assert task.stdout is not None
        assert task.stdout.readline() == b"ready\n"
        os.killpg(task.pid, signal.SIGTERM)

        assert task.wait(30) == 7
    assert (step.state().status, step.state().exit_code) == ("failed", 7)


def test_a_signal_to_the_wrapper_alone_does_nothing(step: Step) -> None:
    """It only waits."""
    with step.popen("sh", "-c", "echo ready; read word; exit $word") as task:
        assert task.stdout is not None
        assert task.stdin is not None
        assert task.stdout.readline() == b"ready\n"
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
            task.send_signal(number)
        task.stdin.write(b"3\n")
        task.stdin.flush()

        assert task.wait(30) == 3


def test_the_program_is_in_the_process_group_of_the_task(step: Step) -> None:
    """So what is sent to the group reaches it."""
    program = "import os; print(os.getpgrp() == os.getpgid(os.getppid()))"
    assert step.run(sys.executable, "-S", "-c", program).stdout == b"True\n"


@pytest.mark.parametrize("make", ["file", "foreign", "open"])
def test_a_node_directory_that_cannot_be_used(step: Step, make: str) -> None:
    """The program runs, with one line about it."""
    if make == "file":
        step.node_dir.write_text("")
    elif make == "open":
        step.node_dir.mkdir(mode=0o777)
        step.node_dir.chmod(0o777)
    env = {"CMFD_NODE_DIR": "/proc/nowhere"} if make == "foreign" else {}
    done = step.run("sh", "-c", "echo out; exit 3", env=env)

    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert done.stderr.decode().count("\n") == 1
    assert "not recorded" in done.stderr.decode()


def test_a_full_disk(step: Step) -> None:
    """The program runs, with one line about it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = step.run("sh", "-c", "exit 3", preexec_fn=limit)

    assert done.returncode == 3
    assert done.stderr.decode().count("\n") == 1


def test_a_wrapper_that_stands_alone(step: Step, tmp_path: Path) -> None:
    """Copied to a node without what belongs to it, it starts the program."""
    alone = shutil.copy(CMFD_SRUN, tmp_path)
    words = [alone, "--", "sh", "-c", "exit 4"]
    done = subprocess.run(
        words, env=step.variables({}), capture_output=True, text=True, check=False
    )

    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "cmfd_task.py" in done.stderr


@pytest.mark.parametrize(
    "words", [["--nonsense", "true"], ["--pipeline"], [], ["--param", "x", "a"]]
)
def test_wrong_options_start_nothing(step: Step, words: list[str]) -> None:
    """As any command with wrong options."""
    done = subprocess.run(
        [CMFD_SRUN, *words], env=step.variables({}), capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr
    assert not step.node_dir.exists()


def test_scripts_are_installed_with_the_package() -> None:
    """All that belongs together."""
    text = (WRAPPERS.parent / "pyproject.toml").read_text("utf-8")

    for path in WRAPPERS.iterdir():
        assert path.is_dir() or f'"wrappers/{path.name}" = "{path.name}"' in text


def test_help_says_what_there_is() -> None:
    """Of both."""
    for name in ("cmfd-srun", "cmfd-mpirun"):
        done = subprocess.run(
            [str(WRAPPERS / name), "--help"], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("Usage: ")
