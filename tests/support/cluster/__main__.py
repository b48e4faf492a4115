"""
A cluster that stays up between test runs. To be run as root in ``tests/``.

    python -m support.cluster [--root DIRECTORY] up [N] [NAME=VALUE ...]
    python -m support.cluster [--root DIRECTORY] down | status | env
    python -m support.cluster [--root DIRECTORY] [--user NAME] exec MACHINE COMMAND ...
    python -m support.cluster [--root DIRECTORY] crash | start NODE

``NAME=VALUE`` are fields of `Options` (``proctrack=cgroup watts=100 accounting=false``), or, with a
capital, lines of slurm.conf (``Prolog=/path``). MACHINE is a node or `head`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from support.cluster.cluster import Cluster
from support.cluster.options import Options

DEFAULT_ROOT = Path("/tmp/cmfd-cluster")


def options_of(words: list[str]) -> Options:
    """Return the options that words of the command line say."""
    chosen: dict[str, Any] = {"hooks": {}}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            chosen["n_nodes"] = int(word)
        elif name[0].isupper():
            chosen["hooks"][name] = value
        else:
            is_text = isinstance(getattr(Options(), name), str)
            chosen[name] = value if is_text else json.loads(value)
    return Options(**chosen)


def environment(cluster: Cluster) -> str:
    """Return what a shell evaluates to name the cluster's machines."""
    return f"export SLURM_CONF={cluster.slurm_conf} CMFD_TEST_CLUSTER={cluster.root}"


def up(root: Path, words: list[str]) -> None:
    """Make a cluster."""
    began_s = time.monotonic()
    cluster = Cluster.up(root, options_of(words), kept=True)
    print(f"{len(cluster.nodes)} nodes after {time.monotonic() - began_s:.1f} s: {cluster.nodes}")
    print(environment(cluster))


def use(cluster: Cluster, user: str, action: str, words: list[str]) -> int:
    """Do something with a cluster that is up."""
    if action == "exec":
        node = None if words[0] == "head" else words[0]
        return subprocess.call(cluster.words(user, tuple(words[1:]), node, {}))
    if action == "crash":
        cluster.crash(words[0])
    elif action == "start":
        cluster.start(*words)
    elif action == "down":
        cluster.down()
    elif action == "status":
        print(environment(cluster))
        for command in (["sinfo", "-N", "-l"], ["squeue", "-a"]):
            subprocess.call(cluster.words("root", tuple(command), None, {}))
    else:
        print(environment(cluster))
    return 0


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT)
    parser.add_argument("--user", default="root")
    parser.add_argument("action", choices=("up", "down", "status", "env", "exec", "crash", "start"))
    parser.add_argument("words", nargs=argparse.REMAINDER)
    said = parser.parse_args()
    if said.action == "up":
        up(said.root, said.words)
        return 0
    return use(Cluster.attach(said.root), said.user, said.action, said.words)


if __name__ == "__main__":
    sys.exit(main())
