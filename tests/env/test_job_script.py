"""Job scripts as sbatch is given them, and as `cmfd slurm submit` passes them on."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cmfd.errors import ConfigError
from cmfd.slurm import script as job

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """\
#!/bin/bash -e
#SBATCH --nodes=2
#CMFD --pipeline heat --param 'title=two words'
# a comment

#CMFD -i data.csv  # what it reads
echo "$0" "$@"
#CMFD --stage late
"""


@pytest.mark.parametrize(
    ("words", "n_options"),
    [
        ("job.sh a b", 0),
        ("-N 4 job.sh", 2),
        ("-N4 job.sh", 1),
        ("-HN 4 job.sh", 2),
        ("-HN4 job.sh", 1),
        ("-k job.sh", 1),
        ("-vv --nodes 4 -W job.sh --nodes 5", 4),
        ("--nodes=4 --exclusive job.sh", 2),
        ("--exclusive=user --hold --time 1:00 job.sh", 4),
        ("--wait --wait-all-nodes 1 job.sh", 3),
        ("-N 1 : -N 2 -p gpu job.sh x", 7),
        ("-- -odd.sh", 1),
        ("-N 4", 2),
        ("", 0),
    ],
)
def test_the_script_is_found_among_the_words(words: str, n_options: int) -> None:
    """Options of sbatch may have their value in the next word, which is no script."""
    given = words.split()
    found = job.split_words(given)
    assert list(found.options) == given[:n_options]
    assert [found.script or "", *found.arguments] == (given[n_options:] or [""])


def test_a_command_given_for_a_script_is_taken_from_the_options() -> None:
    """Both ways to write it."""
    for words in (["-N1", "--wrap=srun hostname", "-v"], ["-N1", "--wrap", "srun hostname", "-v"]):
        assert job.wrap_option(words) == ("srun hostname", ("-N1", "-v"))
    assert job.wrap_option(["-N1"]) == (None, ("-N1",))
    assert job.is_script(job.script_of_command("true"))


def test_directives_stand_before_the_first_command() -> None:
    """Words are quoted as in a shell."""
    words = ["--pipeline", "heat", "--param", "title=two words", "-i", "data.csv"]
    assert job.directives(SCRIPT) == words
    with pytest.raises(ConfigError, match="Nothing was submitted"):
        job.directives("#!/bin/sh\n#CMFD --name 'a\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("input=data/raw output='out dir'", ["--input=data/raw", "--output=out dir"]),
        ("param=lr=0.1 --param input=3", ["--param=lr=0.1", "--param", "input=3"]),
        ("--param=a=1 name=b", ["--param=a=1", "--name=b"]),
    ],
)
def test_directives_may_do_without_dashes(line: str, words: list[str]) -> None:
    """As people write them; the value of an option is none."""
    assert job.directives(f"#!/bin/sh\n#CMFD {line}\n") == words


@pytest.mark.parametrize("text", ["", "echo no first line\n", "\x7fELF\0", "#!\n"])
def test_what_is_no_script_is_left_to_sbatch(text: str) -> None:
    """It says so itself."""
    assert not job.is_script(text)


def run(
    tmp_path: Path, text: str, python: str, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    wrapped = tmp_path / "slurm_script"
    wrapped.write_text(job.wrap(text, "my job.sh", python, ["--name", "it's"]), "utf-8")
    environ = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return subprocess.run(
        ["bash", wrapped, *arguments], capture_output=True, text=True, check=False, env=environ,
        input=stdin,
    )  # fmt: skip


def test_what_is_submitted_begins_as_the_script() -> None:
    """Sbatch reads the same options from it."""
    lines = job.wrap(SCRIPT, "job.sh", "/bin/python", []).split("\n")
    assert lines[:5] == ["#!/bin/bash", *SCRIPT.split("\n")[1:5]]


def test_where_there_is_no_cmfd_the_job_runs_all_the_same(tmp_path: Path) -> None:
    """With its arguments, its first line's options and its exit code; nothing is left behind."""
    done = run(tmp_path, SCRIPT + "false\n", "/nowhere/python", "a  b", "$HOME")
    assert done.returncode == 1
    assert done.stdout.split("/")[-1] == "my job.sh a  b $HOME\n"
    assert "not recorded" in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/echo"])
def test_where_nothing_can_be_written_the_job_runs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    """From the copy that SLURM itself has of it, with one line of warning."""
    none = tmp_path / "bin" / "mktemp"
    none.parent.mkdir()
    none.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    none.chmod(0o755)
    monkeypatch.setenv("PATH", f"{none.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    done = run(tmp_path, SCRIPT + "cat\nexit 5\n", python, "a  b", "$HOME", stdin="typed\n")
    assert done.returncode == 5
    said, typed = done.stdout.splitlines()
    assert said.split(" ", 1)[1] == "a  b $HOME"
    assert typed == "typed"
    (warning,) = done.stderr.splitlines()
    assert "can be written: the job runs, and is not recorded" in warning
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "slurm_script", "tmp"]


@pytest.mark.parametrize("body", [b"", b"$x `y` \\\n'EOF'\nCMFD_\n", b"\xe9 \xff", b"\n\n#SBATCH"])
def test_a_script_runs_byte_for_byte(tmp_path: Path, body: bytes) -> None:
    """Whatever characters it has, and whoever reads it: here, one that prints it."""
    data = b"#!/bin/cat\n" + body + b"\n"
    wrapped = job.wrap(data.decode("utf-8", "surrogateescape"), "job", "/nowhere", [])
    (tmp_path / "script").write_bytes(wrapped.encode("utf-8", "surrogateescape"))
    done = subprocess.run(["bash", tmp_path / "script"], capture_output=True, check=True)
    assert done.stdout == data


@pytest.mark.parametrize(
    ("script", "named"),
    [("job.sh", "job.sh"), ("./a/job.sh", "./a/job.sh"), ("/x/job.sh", "/x/job.sh"),
     ("../job.sh", "{up}/job.sh"), ("a/../../job.sh", "{up}/job.sh")],
)  # fmt: skip
def test_accounting_has_the_script_that_the_user_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, named: str
) -> None:
    """And not the copy that was submitted in its place, which stays in its directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    scratch = f"/tmp/{job.COPIES}a1_b2c3d"
    place = job.place_of_copy(scratch, script)
    assert os.path.normpath(place).startswith(f"{scratch}/")
    line = f"/usr/bin/sbatch --parsable -N 2 {place} x /tmp/y"
    assert job.as_submitted(line) == f"cmfd slurm submit -N 2 {named.format(up=tmp_path)} x /tmp/y"
    assert job.as_submitted("sbatch --parsable job.sh") == "sbatch --parsable job.sh"
