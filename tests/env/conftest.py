"""What launchers leave in the environment, as measured on real clusters and launchers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Environ = dict[str, str]

USER = {"HOME": "/home/alice", "USER": "alice", "PATH": "/usr/bin"}

JOB = USER | {
    "SLURM_CLUSTER_NAME": "alps",
    "SLURM_JOB_ID": "4711",
    "SLURM_JOBID": "4711",
    "SLURM_JOB_NAME": "train",
    "SLURM_JOB_USER": "alice",
    "SLURM_JOB_UID": "1000",
    "SLURM_JOB_PARTITION": "debug",
    "SLURM_JOB_ACCOUNT": "physics",
    "SLURM_JOB_NUM_NODES": "4",
    "SLURM_JOB_NODELIST": "node[1-4]",
    "SLURM_JOB_CPUS_PER_NODE": "4(x3),2",
    "SLURM_MEM_PER_NODE": "2048",
    "SLURM_SUBMIT_DIR": "/home/alice/work",
    "SLURM_SUBMIT_HOST": "login1",
    "SLURMD_NODENAME": "node1",
}
BATCH = JOB | {
    "ENVIRONMENT": "BATCH",
    "SLURM_SCRIPT_CONTEXT": "prolog_task",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_GTIDS": "0",
    "SLURM_NTASKS": "16",
}
TASK = BATCH | {
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "16",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_GTIDS": "4,5,6,7",
}
MPIRUN = {
    "OMPI_COMM_WORLD_RANK": "9",
    "OMPI_COMM_WORLD_SIZE": "16",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    "OMPI_MCA_orte_hnp_uri": "1978400768.0;tcp://192.0.2.2:57585",
    "OMPI_MCA_orte_precondition_transports": "e0603ec854b4520c-b02ccc1689b030ac",
    "PMIX_NAMESPACE": "1978400769",
    "PMIX_RANK": "9",
    "PMIX_SERVER_URI4": "1978400768.2;tcp4://127.0.0.1:56085",
}

SURROUNDINGS: dict[str, Environ] = {
    "shell": USER,
    "prolog": {"SLURM_JOB_ID": "4711", "SLURM_CLUSTER_NAME": "alps",
               "SLURM_JOB_RESTART_COUNT": "0", "SLURM_NODELIST": "node[1-4]"},
    "batch script": BATCH,
    "srun task": TASK,
    "salloc shell": JOB | {"SLURM_STEP_ID": "4294967290", "SLURM_PROCID": "0", "SLURM_NTASKS": "16",
                           "SLURM_STEP_NUM_TASKS": "1"},
    "mpirun in sbatch, first node": BATCH | MPIRUN | {"OMPI_COMM_WORLD_RANK": "1"},
    "mpirun in sbatch, other node": BATCH | MPIRUN | {"SLURM_STEP_ID": "0", "SLURM_PROCID": "1",
                                                      "SLURM_NTASKS": "3"},
    "array task": BATCH | {"SLURM_JOB_ID": "4713", "SLURM_ARRAY_JOB_ID": "4711",
                           "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "10"},
    "het batch script": BATCH | {"SLURM_HET_JOB_ID": "4711", "SLURM_HET_SIZE": "2"},
    "het component": TASK | {"SLURM_JOB_ID": "4712", "SLURM_HET_JOB_ID": "4711"},
    "requeued": BATCH | {"SLURM_RESTART_COUNT": "2"},
    "srun pmix": TASK | {"PMIX_RANK": "5", "PMIX_NAMESPACE": "slurm.pmix.4711.2"},
    "srun pmi2": TASK | {"PMI_RANK": "5", "PMI_SIZE": "16", "PMI_JOBID": "4711.2", "PMI_FD": "9"},
    "torchrun in srun": TASK | {"RANK": "12", "WORLD_SIZE": "32", "LOCAL_RANK": "4",
                                "LOCAL_WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "none"},
    "mpirun": USER | MPIRUN,
    "prterun": USER | {"OMPI_COMM_WORLD_RANK": "9", "OMPI_COMM_WORLD_SIZE": "16",
                       "OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
                       "PMIX_NAMESPACE": "prterun-vm-6760@1", "PMIX_RANK": "9"},
    "hydra": USER | {"PMI_RANK": "3", "PMI_SIZE": "16", "MPI_LOCALRANKID": "1",
                     "MPI_LOCALNRANKS": "2", "HYDI_CONTROL_FD": "7", "PMI_FD": "9"},
    "mvapich": USER | {"MV2_COMM_WORLD_RANK": "3", "MV2_COMM_WORLD_SIZE": "8",
                       "MV2_COMM_WORLD_LOCAL_RANK": "1", "MPIRUN_HOST": "n1", "MPIRUN_PORT": "4000",
                       "MPIRUN_ID": "77"},
    "pals": USER | {"PALS_RANKID": "3", "PALS_LOCAL_RANKID": "1", "PALS_APID": "c0ffee"},
    "flux": USER | {"FLUX_TASK_RANK": "3", "FLUX_JOB_SIZE": "8", "FLUX_TASK_LOCAL_ID": "1",
                    "FLUX_JOB_ID": "f2abc", "FLUX_ENCLOSING_ID": "f1xyz"},
}  # fmt: skip


@pytest.fixture
def around() -> Callable[[str], Environ]:
    """Return a copy of the environment that a launcher's process sees."""
    return lambda name: dict(SURROUNDINGS[name])


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run git as a user without any configuration of their own."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Alice")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "alice@example.org")

    def run(*arguments: str, cwd: Path = tmp_path) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True
        ).stdout

    return run
