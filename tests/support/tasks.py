"""Programs under `cmfd-srun`, as tasks of a step that is no more than its variables."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmfd.wire.journal import events, read_journal
from cmfd.wire.messages import AnyRecord, Fact, ProcessState, decode_record

if TYPE_CHECKING:
    from collections.abc import Mapping

WRAPPERS = Path(__file__).parents[2] / "wrappers"
CMFD_SRUN = str(WRAPPERS / "cmfd-srun")
CMFD_MPIRUN = str(WRAPPERS / "cmfd-mpirun")
CMFD = str(Path(sys.executable).with_name("cmfd"))

STEP = {
    "SLURM_CLUSTER_NAME": "alpha", "SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "2",
    "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NODELIST": "n[1-4]", "SLURM_STEP_TASKS_PER_NODE": "2(x4)",
    "SLURM_JOB_PARTITION": "debug", "SLURM_JOB_CPUS_PER_NODE": "16(x2),8", "SLURMD_NODENAME": "n2",
    "SLURM_MEM_PER_NODE": "4000", "SLURM_JOB_NODELIST": "n[1-4]", "SLURM_JOB_NUM_NODES": "4",
    "SLURM_JOB_NAME": "sweep", "SLURM_JOB_ACCOUNT": "phys", "USER": "ada",
}  # fmt: skip
"""What `srun` sets, as far as it matters."""


@dataclass
class Step:
    """
    A node directory, a working directory, and variables for tasks.

    Parameters
    ----------
    path : Path
        Everything is below.
    environ : dict
        Added to the variables.
    delivers : bool
        Whether the last task delivers; else the journals stay, to be looked at.
    """

    path: Path
    environ: dict[str, str] = field(default_factory=dict)
    delivers: bool = False

    def __post_init__(self) -> None:
        """Make the working directory."""
        self.cwd.mkdir(parents=True, exist_ok=True)

    @property
    def cwd(self) -> Path:
        return self.path / "digits"

    @property
    def node_dir(self) -> Path:
        return self.path / "node"

    @property
    def site(self) -> Path:
        return self.path / "site"

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return a task's environment."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "CMFD", "OMPI"))}
        own = {
            "CMFD_NODE_DIR": str(self.node_dir), "CMFD_SITE": str(self.site), "CMFD_COMMAND": CMFD,
        }  # fmt: skip
        alone = {} if self.delivers else {"CMFD_DELIVER": "job", "CMFD_AUTOSTART": "false"}
        return {**kept, **own, **alone, **STEP, **self.environ, **more}

    def run(
        self, *command: str, options: tuple[str, ...] = (), env: Mapping[str, str] | None = None,
        **keywords: Any,
    ) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
        """Run a program as a task, to its end."""
        keywords = {"capture_output": True, "timeout": 60, **keywords}
        words = [CMFD_SRUN, *options, "--", *command]
        return subprocess.run(
            words, check=False, cwd=self.cwd, env=self.variables(env or {}), **keywords
        )

    def popen(
        self, *command: str, env: Mapping[str, str] | None = None, **keywords: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program as a task."""
        words = [CMFD_SRUN, "--", *command]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            words, cwd=self.cwd, env=self.variables(env or {}), stdin=pipe, stdout=pipe, **keywords
        )

    @property
    def journals(self) -> list[Path]:
        """The journals that there are, oldest first."""
        return sorted((self.node_dir / "journals").glob("*.cmfj"))

    def records(self) -> list[AnyRecord]:
        """Return what the latest journal says."""
        _, blocks = read_journal(self.journals[-1])
        return [decode_record(payload) for block in blocks for payload in events(block.data)]

    def state(self) -> ProcessState:
        """Return how the latest task ended."""
        last = self.records()[-1]
        assert isinstance(last, ProcessState)
        return last

    def facts(self) -> dict[tuple[bytes, str], object]:
        """Return the facts that the latest journal states."""
        facts = [record for record in self.records() if isinstance(record, Fact)]
        return {(fact.subject, fact.key): fact.value for fact in facts}
