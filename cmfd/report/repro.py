"""How an execution can be done again, and how two differ: as text and as a script."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cmfd.errors import NotFoundError
from cmfd.model import INSIDE
from cmfd.query.located import is_slice
from cmfd.report import units
from cmfd.report.phrases import outcome
from cmfd.report.text import Column, Table, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.query.repro import Difference, Input, Recipe


def recipe_lines(found: Recipe) -> Iterator[str]:
    """Yield what an execution was, and what is missing to do it again."""
    execution, code = found.execution, found.code
    python = found.environment.get("python")
    known = {
        "execution": f"{execution.execution} {execution.pipeline}.{execution.stage}",
        "status": outcome(execution),
        "command": shlex.join(found.command),
        "in": found.cwd,
        "commit": str(code.get("commit") or ""),
        "branch": str(code.get("branch") or ""),
        "remote": str(code.get("remote") or code.get("repository") or ""),
        "python": str(python.get("version", "")) if isinstance(python, dict) else "",
    }
    yield from (f"{key:9} {printable(text)}" for key, text in known.items() if text)
    yield from (f"{'missing':9} {printable(text)}" for text in found.missing)
    if not found.missing:
        yield "missing   nothing that is known of"


def recipe_tables(found: Recipe) -> list[Table]:
    """Make tables of parameters, inputs and outputs."""
    params = [(one.key, units.literal(one.value)) for one in found.params]
    inputs = [(one.path, one.digest, one.problem or one.found or "") for one in found.inputs]
    outputs = [(one.path, one.digest) for one in found.outputs]
    return [
        Table((Column("parameter"), Column("value")), params, "parameters"),
        Table((Column("input"), Column("digest"), Column("is at")), inputs, "inputs"),
        Table((Column("output"), Column("digest")), outputs, "outputs"),
    ]


def differences_table(found: Sequence[Difference], left: Recipe, right: Recipe) -> Table:
    """Make a table of what differs."""
    names = units.short_ids([left.execution.execution, right.execution.execution])
    columns = (Column(""), Column(""), *(Column(name) for name in names.values()))
    rows = [(one.section, one.key, *_cells(one)) for one in found]
    return Table(columns, rows)


def _cells(one: Difference) -> tuple[str, str]:
    left, right = (_cell(value, is_command=one.key == "argv") for value in (one.left, one.right))
    return left, right


def _cell(value: Any, *, is_command: bool) -> str:
    if value is None:
        return units.NOTHING
    if is_command and isinstance(value, list):
        return shlex.join(map(str, value))
    if isinstance(value, (list, dict)):
        return str(value)
    return value if isinstance(value, str) else units.literal(value)


_VERIFY = """\
# Puts an input in place if it is not there, and sees to it that it holds what it held.
fetch() {  # digest path source; a data set's are FILE::DATASET
    file=${2%%::*} from=${3%%::*}
    if [ ! -e "$file" ] && [ -n "$from" ] && [ -e "$from" ]; then
        mkdir -p -- "$(dirname -- "$file")"
        cp -R -- "$from" "$file"
    fi
    found=$(cmfd artifacts hash --like "$1" "$2") || { echo "missing: $2 ($1)" >&2; exit 1; }
    [ "$found" = "$1" ] || { echo "$2 holds $found, not $1" >&2; exit 1; }
}"""


def script(found: Recipe, site: str) -> Iterator[str]:
    """
    Yield a shell script that does an execution again in a new directory.

    Parameters
    ----------
    found : Recipe
        The execution.
    site : str
        The site that knows it, where the script looks up what is no longer where it was.

    Raises
    ------
    NotFoundError
        Its command is not known: there is nothing that a script could do.
    """
    if not found.command:
        raise NotFoundError(
            f"the command of execution {found.execution.execution} is not known: there is no script"
            " that does it again. Without --script: what is known of it."
        )
    execution, code = found.execution, found.code
    short = execution.execution[: units.MIN_ID_DIGITS]
    yield "#!/bin/sh"
    yield f"# Does execution {short} ({_comment(f'{execution.pipeline}.{execution.stage}')}) again."
    yield from (f"# missing: {_comment(text)}" for text in found.missing)
    yield "set -eu"
    yield f"target=${{1:-cmfd-repro-{short}}}"
    yield from _check_out(code)
    yield f'cd -- "$target"/{shlex.quote(_below(found.cwd, str(code.get("repository", ""))))}'
    yield from _requirements(found)
    yield _VERIFY
    files = [one for one in found.inputs if not is_slice(one.digest)]
    known = [one for one in files if not one.digest.startswith("stat:")]
    if any(one.found is None for one in known):
        # What cannot be had by this either, fetch says.
        words = ["cmfd", "artifacts", "pull", "--quiet", "--site", site, "--execution"]
        yield f"{shlex.join([*words, execution.execution])} || true"
    yield from map(_fetch, known)
    words = ["cmfd", "run", "--pipeline", execution.pipeline, "--stage", execution.stage]
    for one in files:
        words += ["-i", one.path]
    for output in found.outputs:
        if INSIDE not in output.path and not is_slice(output.digest):
            words += ["-o", f"{output.kind}:{output.path}"]
    yield shlex.join([*words, "--", *found.command])


def _check_out(code: dict[str, Any]) -> Iterator[str]:
    """Yield the commands that get the code."""
    source = code.get("remote") or code.get("repository")
    if not source or not code.get("commit"):
        yield 'mkdir -p -- "$target"  # put the code there: its version is not known'
        return
    yield f'git clone -- {shlex.quote(str(source))} "$target"'
    yield f'git -C "$target" checkout --detach {shlex.quote(str(code["commit"]))}'
    if code.get("submodules"):
        yield 'git -C "$target" submodule update --init --recursive'


def _requirements(found: Recipe) -> Iterator[str]:
    """Yield the packages as a file that pip takes."""
    packages = found.environment.get("packages")
    if not isinstance(packages, dict) or "problem" in packages:
        return
    python = found.environment.get("python")
    version = python.get("version", "?") if isinstance(python, dict) else "?"
    yield f"# Python {_comment(str(version))}; its packages: pip install -r cmfd-requirements.txt"
    yield "cat > cmfd-requirements.txt <<'END'"
    yield from (_comment(f"{name}=={number}") for name, number in packages.items())
    yield "END"


def _fetch(one: Input) -> str:
    source = one.found or one.absolute
    return f"fetch {shlex.quote(one.digest)} {shlex.quote(one.path)} {shlex.quote(source)}"


def _below(directory: str, top: str) -> str:
    """Return a directory within a repository; the top itself if it was elsewhere."""
    try:
        return str(PurePath(directory).relative_to(top)) if directory and top else "."
    except ValueError:
        return "."


def _comment(text: str) -> str:
    """Keep a text on its line."""
    return printable(text)
