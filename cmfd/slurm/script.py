"""
Job scripts: found among the words of `sbatch`, read for `#CMFD` lines, and wrapped.

A wrapped script has the user's `#SBATCH` lines in front, so that sbatch takes it as the user's. On
the node, the user's own script is written out again and run by the program that its first line
names.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from cmfd.errors import ConfigError
from cmfd.python import SAFELY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DIRECTIVE = "#CMFD"

COPIES = "cmfd-submit-"
"""How directories begin in which scripts lie that are submitted in place of users'."""

_COPY = re.compile(rf"\S*/{COPIES}[a-z0-9_]{{8}}/")

_SHORT_FLAGS = "hHIOQsuvVWk"
"""Options of one letter that take no value, or only one that is attached (k)."""

_LONG_FLAGS = (
    "contiguous", "exclusive", "get-user-env", "help", "hold", "ignore-pbs", "nice", "no-kill",
    "no-requeue", "overcommit", "oversubscribe", "parsable", "propagate", "quiet", "reboot",
    "requeue", "share", "spread-job", "test-only", "usage", "use-min-nodes", "verbose", "version",
    "wait",
)  # fmt: skip
"""Long options that take no value, or only one after ``=``."""

_WRAPPED = "#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{command}\n\n"

_FRAME = """\
#!/bin/bash
{head}
# What follows was added by `cmfd slurm submit`: it writes out the script as it was submitted, and
# runs it with everything recorded.
for cmfd_dir in "${{TMPDIR:-/tmp}}" /tmp /var/tmp /dev/shm "$PWD"; do
    cmfd_dir=$(mktemp -d -- "$cmfd_dir/cmfd-job.XXXXXX" 2>/dev/null) || continue
    if cat >"$cmfd_dir"/{name} <<'{end}'; then break; fi 2>/dev/null
{text}
{end}
    rm -r -- "$cmfd_dir"
    cmfd_dir=
done
if [ -z "$cmfd_dir" ]; then
    echo "cmfd: no directory on $(uname -n) can be written: the job runs, and is not recorded" >&2
    exec {interpreter} <(sed -e "1,/<<'{end}'/d" -e '/^{end}$/,$d' -- "$0") "$@"
fi
set -- {interpreter} "$cmfd_dir"/{name} "$@"
if [ -x {python} ]; then
    exec {python} {safely} -m cmfd slurm batch --script "$cmfd_dir"/{name} {words} -- "$@"
fi
echo "cmfd: there is no "{python}" on $(uname -n): the job runs, and is not recorded" >&2
"$@"
cmfd_code=$?
rm -r -- "$cmfd_dir"
exit $cmfd_code
"""


class Order(NamedTuple):
    """
    What sbatch was told.

    Attributes
    ----------
    options : tuple of str
        Its options.
    script : str or None
        The script; None where sbatch has it from elsewhere.
    arguments : tuple of str
        The script's.
    """

    options: tuple[str, ...]
    script: str | None
    arguments: tuple[str, ...]


def split_words(words: Sequence[str]) -> Order:
    """
    Find the script among the words that sbatch is given.

    Parameters
    ----------
    words : sequence of str
        Options of sbatch (of several components of a job, with ``:`` between), the script, and its
        arguments.
    """
    at = 0
    while at < len(words) and (
        words[at] == ":" or (words[at].startswith("-") and words[at] != "-")
    ):
        if words[at] == "--":
            at += 1
            break
        at += 2 if _takes_next(words[at]) else 1
    script = words[at] if at < len(words) else None
    return Order(tuple(words[:at]), script, tuple(words[at + 1 :]))


def _takes_next(option: str) -> bool:
    """Tell whether the word after an option is its value."""
    if option.startswith("--"):
        name, equals, _ = option[2:].partition("=")
        return not equals and not any(flag.startswith(name) for flag in _LONG_FLAGS)
    if option == ":":
        return False
    valued = [at for at, letter in enumerate(option) if at and letter not in _SHORT_FLAGS]
    # What follows a letter that takes a value is the value; after "k" as well.
    return bool(valued) and valued[0] == len(option) - 1 and "k" not in option


def wrap_option(options: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the command that ``--wrap`` names, if it does, and the other options."""
    for at, option in enumerate(options):
        name, equals, value = option.partition("=")
        if name == "--wrap" and equals:
            return value, (*options[:at], *options[at + 1 :])
        if name == "--wrap" and at + 1 < len(options):
            return options[at + 1], (*options[:at], *options[at + 2 :])
    return None, tuple(options)


def script_of_command(command: str) -> str:
    """Return the script that sbatch makes of a command of ``--wrap``."""
    return _WRAPPED.format(command=command)


def place_of_copy(directory: str, script: str) -> str:
    """Return where in a directory to put what is submitted in place of a script."""
    is_inside = not os.path.normpath(script).startswith("..")
    return f"{directory}/{script if is_inside else Path(script).resolve()}"


def as_submitted(line: str) -> str:
    """Return how a job was submitted: of `cmfd slurm submit`, accounting knows what that ran."""
    found, n_copies = _COPY.subn("", line, count=1)
    return re.sub(r"^\S*sbatch --parsable", "cmfd slurm submit", found) if n_copies else line


def directives(text: str) -> list[str]:
    """
    Return the words of a script's `#CMFD` lines.

    As of `#SBATCH` lines, only those before the first command count. ``input=data.csv`` is short
    for ``--input=data.csv``.

    Raises
    ------
    ConfigError
        The quotes of a line do not match.
    """
    words: list[str] = []
    for line in _head(text):
        name, _, rest = line.partition(" ")
        if name != DIRECTIVE:
            continue
        try:
            words += _as_options(shlex.split(rest, comments=True))
        except ValueError as error:
            raise ConfigError(
                f"{line!r} cannot be read: {error}. Nothing was submitted."
            ) from error
    return words


def _as_options(words: list[str]) -> list[str]:
    """Put dashes before ``key=value``, but where it is the value of an option."""
    before = ["", *words]
    return [
        word
        if word.startswith("-") or (last.startswith("-") and "=" not in last) or "=" not in word
        else f"--{word}"
        for last, word in zip(before, words, strict=False)
    ]


def is_script(text: str) -> bool:
    """Tell whether sbatch would take this for a script."""
    return text.startswith("#!") and "\0" not in text and bool(_interpreter(text))


def wrap(text: str, name: str, python: str, words: Sequence[str]) -> str:
    """
    Make the script that is submitted in place of a user's.

    Parameters
    ----------
    text : str
        The user's script, for which `is_script` holds.
    name : str
        What its file is called.
    python : str
        The Python that has cmfd, on all nodes.
    words : sequence of str
        Options of ``cmfd slurm batch``.
    """
    end = "CMFD_" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return _FRAME.format(
        head="\n".join(list(_head(text))[1:]),
        name=shlex.quote(PurePath(name).name),
        end=end,
        text=text.removesuffix("\n"),
        interpreter=shlex.join(_interpreter(text)),
        python=shlex.quote(python),
        safely=shlex.join(SAFELY),
        words=shlex.join(words),
    )


def _interpreter(text: str) -> list[str]:
    """Return the words of a first line as the kernel reads them: a program, and one argument."""
    return text.partition("\n")[0][2:].strip().split(None, 1)


def _head(text: str) -> Iterator[str]:
    """Yield the lines before the first command."""
    for line in text.split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return
        yield line
