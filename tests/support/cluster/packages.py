"""What a machine must have for a test cluster."""

from __future__ import annotations

import os
import shutil

PROGRAMS = {
    "slurmctld": "slurmctld", "slurmd": "slurmd", "slurmdbd": "slurmdbd", "srun": "slurm-client",
    "munged": "munge", "mariadbd": "mariadb-server", "mariadb-install-db": "mariadb-server",
    "ip": "iproute2",
}  # fmt: skip
"""Programs, and Debian's packages that bring them."""


def why_not() -> str:
    """Say why there can be no cluster on this machine; empty if there can be one."""
    if os.geteuid() != 0:
        return "only root can bring up a SLURM cluster on one machine"
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = {package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)}
    if missing:
        return f"a SLURM cluster needs Debian's packages {', '.join(sorted(missing))}"
    return ""
