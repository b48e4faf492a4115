"""The how-to for users without rights, as it stands, on a real cluster."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.cluster.processes import wait_for
from support.console import commands_of

if TYPE_CHECKING:
    from support.cluster import Account

pytestmark = [pytest.mark.slurm, pytest.mark.mpi, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
HOWTO = ROOT / "docs" / "howto" / "without-admin-rights.md"
PATH = f"{ROOT / 'wrappers'}:{sys.prefix}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOLVE = "#!/bin/bash\nsleep 0.2; echo $1 >>field.txt\n"

_FILE = re.compile(r"<!-- file: (\S+) -->\s*```sh\n(.*?)```", re.DOTALL)


def test_every_command_does_what_the_document_says(alice: Account) -> None:
    """Commands in the order of the document, in one shell, with the files it shows."""
    text = HOWTO.read_text("utf-8")
    files = dict(_FILE.findall(text))
    assert len(files) == 3
    for name, content in files.items():
        alice.write(name, content)
    alice.write("solve", SOLVE, executable=True)
    shown = commands_of(HOWTO)
    assert len(shown) > 10
    variables = ""
    for want in shown:
        # Where the document says that one waits, and anywhere else, too: nothing runs any more.
        if not want.command.startswith("cmfd slurm status"):
            wait_for(lambda: not alice.run("squeue", "--noheader").stdout, "jobs have ended", 120)
        done = alice.run(
            "bash", "-c", f"exec 2>&1; {variables}{want.command}; code=$?; echo; echo job=$job;"
            "exit $code", env={"PATH": PATH}, check=False,
        )  # fmt: skip
        said, _, job = done.stdout.rpartition("\njob=")
        variables = f"job={job.strip()}; "
        assert done.returncode == 0, f"$ {want.command}\n{said}"
        assert want.fits(said), f"$ {want.command}\n{said}"
