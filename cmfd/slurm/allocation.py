"""What SLURM gave a job on one node, as the controller tells it."""

from __future__ import annotations

import re
from typing import NamedTuple

from cmfd.slurm import commands, figures
from cmfd.slurm.hostlist import expand

_FIELD = re.compile(r"(\w+)=(\S*)")
_NODES = re.compile(r"^\s+(Nodes=\S+ CPU_IDs=.*)$", re.MULTILINE)
_DEVICES = re.compile(r"gpu[^,(]*\((?:IDX|CNT):([\d,-]+)\)")


class Given(NamedTuple):
    """
    What a job has of a node.

    Attributes
    ----------
    cpus : int
        As SLURM counts them.
    memory_bytes : int or None
        None: memory is not allocated on this cluster.
    gpus : tuple of int or None
        Numbers of the devices; None: not known.
    exclusive : bool
        Nobody else is given anything of the node.
    """

    cpus: int
    memory_bytes: int | None
    gpus: tuple[int, ...] | None
    exclusive: bool


def ask_given(job: str, node: str) -> Given | None:
    """
    Ask the controller what a job has of a node; None: it does not say.

    Raises
    ------
    SlurmError
        It cannot be asked.
    """
    return read_given(commands.ask("scontrol", "show", "job", "--details", job), node)


def read_given(output: str, node: str) -> Given | None:
    """Read the same from what ``scontrol --details show job`` printed."""
    exclusive = re.search(r"\bOverSubscribe=(NO|EXCLUSIVE)\b", output) is not None
    for line in _NODES.findall(output):
        said = dict(_FIELD.findall(line))
        if node in expand(said["Nodes"]):
            memory = figures.memory_bytes(said.get("Mem", ""), unit="M")
            gpus = [number for found in _DEVICES.findall(line) for number in figures.numbers(found)]
            return Given(
                len(figures.numbers(said["CPU_IDs"])), memory or None, tuple(gpus), exclusive
            )
    return None


def ask_cpus(node: str) -> int | None:
    """
    Ask how many CPUs SLURM counts on a node; None: it does not say.

    Raises
    ------
    SlurmError
        It cannot be asked.
    """
    found = re.search(r"\bCPUTot=(\d+)", commands.ask("scontrol", "show", "node", node))
    return int(found[1]) if found else None
