"""What holds for all commands."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from support.wrapper import CMFD

from cmfd import __version__
from cmfd.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.sites import ASite, Invoke
    from support.wrapper import Node


def commands(
    command: click.Command = cli, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*words, name))


EVERY = dict(commands())


@pytest.mark.parametrize(
    "words", [words for words in EVERY if isinstance(EVERY[words], click.Group)], ids=" ".join
)
def test_help_has_whole_sentences_on_subcommands(words: tuple[str, ...]) -> None:
    """What a command is for is not cut off in the middle."""
    listed = CliRunner().invoke(cli, [*words, "--help"]).stdout.partition("Commands:\n")[2]
    assert listed.strip()
    assert "..." not in listed.partition("Example:\n")[0].replace('"..."', "")


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_has_an_example_that_parses(words: tuple[str, ...]) -> None:
    """Each help shows how to call that very command, and the example's options exist."""
    text = CliRunner().invoke(cli, [*words, "--help"]).stdout
    example = text.partition("Example:\n")[2]
    assert " ".join(("cmfd", *words)) in example
    for line in example.splitlines():
        called = line.strip().partition("cmfd ")[2].partition("  #")[0].split()
        options = [word for word in called if word.startswith("--") and len(word) > 2]
        known = {option for one in EVERY.values() for param in one.params for option in param.opts}
        assert set(options) <= known, line


@pytest.mark.parametrize(
    ("typed", "meant"), [(("rusn",), "runs"), (("report", "carbno"), "carbon"), (("x",), "")]
)
def test_what_comes_near_a_command_is_said(typed: tuple[str, ...], meant: str) -> None:
    """A slip of the fingers; what comes near none is only said to be none."""
    done = CliRunner().invoke(cli, typed)
    assert done.exit_code == 2
    assert "No such command" in done.output
    assert ("Did you mean" in done.output) == bool(meant)
    assert meant in done.output


@pytest.mark.parametrize("words", [words for words in EVERY if words], ids=" ".join)
def test_help_explains_every_option(words: tuple[str, ...]) -> None:
    """No option is without a word on it."""
    for param in EVERY[words].params:
        assert not isinstance(param, click.Option) or param.help


def test_a_command_that_does_not_exist_is_a_usage_error(invoke: Invoke) -> None:
    """Exit code 2, with the word."""
    assert "frobnicate" in invoke("frobnicate", code=2).stderr


def test_the_version_is_the_packages(invoke: Invoke) -> None:
    """`cmfd --version` and `python -m cmfd` agree with the package."""
    assert __version__ in invoke("--version").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(invoke: Invoke, shell: str) -> None:
    """The script asks cmfd what may come next."""
    assert "_CMFD_COMPLETE" in invoke("completion", shell).stdout


def complete(node: Node, line: str) -> list[str]:
    """Return what bash would be offered at the end of `line`."""
    words = line.split(" ")
    asked = {
        "_CMFD_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    main = "from cmfd.cli.main import main; import sys; sys.argv[0] = 'cmfd'; main()"
    done = subprocess.run(
        (sys.executable, "-c", main), env={**node.environment(), **asked}, cwd=node.cwd,
        capture_output=True, check=True,
    )  # fmt: skip
    return [line.partition(",")[2] for line in done.stdout.decode().splitlines() if line]


@pytest.mark.slow
def test_completion_offers_commands_and_runs(lone_node: Node) -> None:
    """Names of commands, options, and the ids of runs, none where there is no site."""
    assert complete(lone_node, "cmfd me") == ["merge", "metrics"]
    assert complete(lone_node, "cmfd show ") == []
    lone_node.cmfd("run", "-q", "--", "true")
    assert complete(lone_node, "cmfd show ") == [lone_node.last()["run"]["run"]]


def test_an_error_of_the_system_is_told_without_a_traceback(site: ASite, invoke: Invoke) -> None:
    """A site whose label is a directory: one line on standard error."""
    (site.path / "site.toml").mkdir(parents=True)
    stderr = invoke("runs", code=3).stderr
    assert stderr.startswith("cmfd: ")
    assert "Traceback" not in stderr


def test_a_reader_that_leaves_is_no_error(three_runs: ASite) -> None:
    """`cmfd metrics ... | head -1`: no traceback, and the exit code that SIGPIPE would give."""
    environ = {**os.environ, "CMFD_SITE": str(three_runs.path)}
    words = (*CMFD, "metrics", "last", "loss", "--csv", "--site", str(three_runs.path))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, env=environ, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def test_nowhere_to_print_to_is_no_fault_of_a_command(three_runs: ASite) -> None:
    """Standard output closed, as some schedulers start programs; or on a full disk: one line."""
    words = shlex.join((*CMFD, "runs", "--site", str(three_runs.path)))
    ends = []
    for where in (">&-", ">/dev/full"):
        done = subprocess.run(
            ("sh", "-c", f"{words} {where}"), stderr=subprocess.PIPE, text=True, check=False
        )
        ends.append((done.returncode, done.stderr.count("\n"), "Traceback" in done.stderr))
    assert ends == [(0, 0, False), (1, 1, False)]


def test_run_imports_nothing_slow_before_the_command_starts() -> None:
    """No NumPy, SQLite, rich or ZeroMQ stands between `cmfd run` and its command."""
    program = (
        "import sys, cmfd.cli.main, cmfd.cli.run; "
        "print(*{'numpy', 'sqlite3', 'rich', 'zmq', 'psutil', 'sqlite_utils'} & set(sys.modules))"
    )
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, check=True)
    assert done.stdout.split() == []


def test_a_locale_without_our_characters_is_no_error(three_runs: ASite) -> None:
    """Bars that the terminal's encoding lacks are escaped; the rest is printed."""
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    words = (*CMFD, "metrics", "last", "--site", str(three_runs.path))
    done = subprocess.run(words, capture_output=True, env=environ, check=True)
    assert b"loss" in done.stdout
    assert b"\\u258" in done.stdout
