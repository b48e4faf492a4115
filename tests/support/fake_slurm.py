"""Commands that say what SLURM's `sacct` and `scontrol` would, in the form of 22.05."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmfd.slurm.sacct_text import DELIMITER, FIELDS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

KNOWN = [name for name in FIELDS if name != "Restarts"]

_SACCT = """#!/bin/sh
cd {directory} || exit 1
echo "$*" >> asked
case "$*" in
    --version) echo "slurm-wlm 22.05.8";;
    *--helpformat*) echo "{fields}";;
    *--batch-script*) cat script 2>/dev/null;;
    *)
        if [ -e refusal ]; then cat refusal >&2; exit 1; fi
        for answer in answer-*; do break; done
        cat "$answer"
        [ "$answer" = answer-9 ] || rm "$answer"
        ;;
esac
"""
_SCONTROL = """#!/bin/sh
cd {directory} || exit 1
case "$*" in
    "show config") echo "ClusterName             = c";;
    "write batch_script"*) cat script 2>/dev/null || exit 1;;
    *)
        cat controller 2>/dev/null && exit
        echo "slurm_load_jobs error: Invalid job id specified" >&2
        exit 1
        ;;
esac
"""
_SBATCH = """#!/bin/sh
cat >/dev/null
echo "$*" >> {directory}/submitted
echo {number}
"""


@dataclass
class FakeSlurm:
    """
    Stands in `PATH` before SLURM's own commands.

    Attributes
    ----------
    directory : Path
        Where it lies.
    """

    directory: Path

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
        """Make the commands, which know of no job, and put them first in `PATH`."""
        self.directory.mkdir()
        for name, text in (("sacct", _SACCT), ("scontrol", _SCONTROL)):
            path = self.directory / name
            path.write_text(text.format(directory=self.directory, fields=" ".join(KNOWN)), "utf-8")
            path.chmod(0o755)
        self.account()
        monkeypatch.setenv("PATH", f"{self.directory}{os.pathsep}{os.environ['PATH']}")
        return self

    def account(self, *lines: dict[str, str], before: int = 9) -> None:
        """Let accounting say this; in answers `before` 9, that of the least first, once."""
        text = "".join(_line(line) for line in lines)
        (self.directory / f"answer-{before}").write_text(text, "utf-8")

    def refuse(self, reason: str) -> None:
        """Let accounting fail; with no reason, no longer."""
        path = self.directory / "refusal"
        path.write_text(reason, "utf-8") if reason else path.unlink()

    def remember(self, text: str) -> None:
        """Let the controller say this of every job."""
        (self.directory / "controller").write_text(text, "utf-8")

    def keep_script(self, text: str) -> None:
        """Let the controller have this job script."""
        (self.directory / "script").write_text(text, "utf-8")

    def accept(self, number: str) -> None:
        """Let every job that is submitted have this number."""
        path = self.directory / "sbatch"
        path.write_text(_SBATCH.format(directory=self.directory, number=number), "utf-8")
        path.chmod(0o755)

    def submitted(self) -> list[str]:
        """Return the arguments of every submission."""
        return (self.directory / "submitted").read_text("utf-8").splitlines()

    def asked(self) -> list[str]:
        """Return the arguments of every question to accounting."""
        path = self.directory / "asked"
        return path.read_text("utf-8").splitlines() if path.exists() else []


def _line(fields: dict[str, str]) -> str:
    values = {"JobID": fields["JobIDRaw"], **fields}
    return DELIMITER.join([*(values.get(name, "") for name in KNOWN), values["JobIDRaw"]]) + "\n"


def job(number: int | str, begin_s: int, **fields: str) -> dict[str, str]:
    """Return what accounting says of a job of 100 s on 4 cores, 1 GiB; fields say otherwise."""
    return {
        "JobIDRaw": str(number), "Cluster": "c", "User": "ann", "Account": "physics",
        "Partition": "debug", "QOS": "normal", "JobName": "train", "State": "COMPLETED",
        "Reason": "None", "ExitCode": "0:0", "DerivedExitCode": "0:0", "Submit": f"{begin_s - 60}",
        "Eligible": f"{begin_s - 30}", "Start": f"{begin_s}", "End": f"{begin_s + 100}",
        "ElapsedRaw": "100", "Suspended": "00:00:00", "TimelimitRaw": "10", "NNodes": "2",
        "AllocCPUS": "4", "ReqCPUS": "4", "ReqMem": "1024M", "NodeList": "n[1-2]",
        "ReqTRES": "cpu=4,mem=1G,node=2", "AllocTRES": "cpu=4,mem=1G,node=2",
        "TotalCPU": "05:00", "SubmitLine": "sbatch job.sh", **fields,
    }  # fmt: skip


def step(name: str, begin_s: int, **fields: str) -> dict[str, str]:
    """Return what accounting says of a step, ``4711.0``, of two tasks."""
    return {
        "JobIDRaw": name, "JobName": "python", "State": "COMPLETED", "ExitCode": "0:0",
        "Start": f"{begin_s}", "End": f"{begin_s + 100}", "NNodes": "2", "NTasks": "2",
        "AllocCPUS": "4", "TotalCPU": "05:00", "MaxRSS": str(200 << 20),
        "TRESUsageInTot": f"cpu=00:05:00,mem={256 << 20}", "ConsumedEnergyRaw": "500", **fields,
    }  # fmt: skip
