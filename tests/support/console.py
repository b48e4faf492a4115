"""Commands that a document shows, run as they stand, and what they print compared with it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MARK = "@@ the command before this ended with"


@dataclass
class Shown:
    """A command of a document, and what it is said to print."""

    command: str
    output: list[str] = field(default_factory=list)
    prompt: str = "$"

    def fits(self, output: str) -> bool:
        """Tell whether an output is what is shown: blanks are alike, ``...`` is anything."""
        expected = " ".join("\n".join(self.output).split())
        first, *parts = (part.strip() for part in expected.split("..."))
        rest = " ".join(output.split())
        if not parts:
            return rest == first
        if not rest.startswith(first):
            return False
        rest = rest.removeprefix(first)
        for part in parts[:-1]:
            _, found, rest = rest.partition(part) if part else ("", True, rest)
            if not found:
                return False
        return rest.endswith(parts[-1])


@dataclass
class Seen:
    """What really came of a command."""

    command: str
    output: str
    exit_code: int

    @property
    def plain(self) -> str:
        """Return the output with all blanks alike."""
        return " ".join(self.output.split())


class Tutorial(NamedTuple):
    """The site that a tutorial made, its commands, and what came of them."""

    site: Path
    shown: list[Shown]
    seen: list[Seen]


def commands_of(document: Path, prompt: str = r"\$") -> list[Shown]:
    """Return the commands of a document's console blocks, in order; `prompt` is a pattern."""
    found: list[Shown] = []
    begin = re.compile(rf"({prompt}) (.*)")
    for block in _BLOCK.findall(document.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if begun := begin.fullmatch(line):
                found.append(Shown(begun[2], prompt=begun[1]))
            elif line.startswith(">") and not found[-1].output:
                found[-1].command += "\n" + line[2:]
            else:
                found[-1].output.append(line)
    return found


def what_is_wrong(shown: list[Shown], seen: list[Seen]) -> str:
    """Return which commands failed, or did not print what the document says, and what they did."""
    return "\n\n".join(
        f"$ {have.command}\n{have.output}\n(exit code {have.exit_code})"
        for want, have in zip(shown, seen, strict=True)
        if have.exit_code != 0 or not want.fits(have.output)
    )


def run_in_one_shell(
    commands: list[Shown], cwd: Path, environ: Mapping[str, str], timeout_s: float
) -> list[Seen]:
    """Run commands one after the other in one bash, standard error among the output."""
    script = "".join(f'{item.command}\nprintf "\\n%s %d\\n" "{_MARK}" "$?"\n' for item in commands)
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1 </dev/null\n{script}"],
        cwd=cwd, env=environ, timeout=timeout_s, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    pieces = re.split(rf"\n{_MARK} (\d+)\n", done.stdout)
    outputs, codes = pieces[0::2], pieces[1::2]
    return [
        Seen(item.command, output, int(code))
        for item, output, code in zip(commands, outputs, codes, strict=False)
    ]
