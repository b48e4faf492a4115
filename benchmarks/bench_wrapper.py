"""
What cmfd-srun adds to a task: alone, and to each of 64 that begin at once on this machine.

    python benchmarks/bench_wrapper.py

The tasks have a step's variables and no srun: what SLURM itself takes is the same with and without.
Programs of half a second show what the wrapper adds to a task's time. Of 64 that begin at once, it
is their processor time that counts: with a core for each, none has to wait longer than that.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import figures

WRAPPER = str(Path(__file__).parents[1] / "wrappers" / "cmfd-srun")
PROGRAM = ["sleep", "0.5"]
TASKS = 64
RUNS = 15


def environment(directory: str) -> dict[str, str]:
    """Return a task's variables; journals stay, so that only the tasks are measured."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("SLURM")},
        "CMFD_NODE_DIR": f"{directory}/node", "CMFD_SITE": f"{directory}/site",
        "CMFD_DELIVER": "job", "CMFD_AUTOSTART": "false",
        "SLURM_CLUSTER_NAME": "bench", "SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(TASKS), "SLURM_NODEID": "0",
    }  # fmt: skip


def at_once_cpu_s(command: list[str], env: dict[str, str]) -> float:
    """Start 64 tasks at once and return the processor time of all, divided by them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    tasks = [
        subprocess.Popen(command, env={**env, "SLURM_PROCID": str(rank)}) for rank in range(TASKS)
    ]
    codes = [task.wait() for task in tasks]
    if any(codes):
        sys.exit("a task failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used_s / TASKS


def main() -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as directory:
        env = environment(directory)
        figures.wall_s([WRAPPER, "--", "true"], env)  # the first on a node, which compiles
        ours, bare, _ = figures.in_turn(
            lambda: figures.wall_s([WRAPPER, "--", *PROGRAM], env),
            lambda: figures.wall_s(PROGRAM, env),
            RUNS,
        )
        short, nothing, _ = figures.in_turn(
            lambda: figures.wall_s([WRAPPER, "--", "true"], env),
            lambda: figures.wall_s(["true"], env),
            RUNS,
        )
        each, each_bare, _ = figures.in_turn(
            lambda: at_once_cpu_s([WRAPPER, "--", "true"], env),
            lambda: at_once_cpu_s(["true"], env),
            5,
        )
    line = partial(figures.line, unit="ms", what="the bound itself", bound=1)
    figures.finish([
        line("cmfd-srun adds to a task", (ours - bare) * 1e3, reference=30),
        line("cmfd-srun adds to a task that does nothing", (short - nothing) * 1e3, reference=60),
        line("64 tasks at once, CPU added to each", (each - each_bare) * 1e3, reference=30),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
