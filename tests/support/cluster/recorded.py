"""What cmfd records of jobs on a test cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.cluster.processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from support.cluster.jobs import Account


def settings(site: Path) -> dict[str, str]:
    """Return variables for jobs that record into a site, and whose daemons end soon."""
    return {"CMFD_SITE": str(site), "CMFD_IDLE_S": "0.5", "CMFD_SEAL_GRACE_S": "0.2"}


def deliver(user: Account, site: Path) -> None:
    """Wait until a user's daemons on the nodes have sealed what they had; merge it."""
    wait_for(lambda: not user.cluster.processes_of(user.name), "daemons end", every_s=0.1)
    user.run("cmfd", "merge", "--wait", "--quiet", "--site", str(site))


def runs(user: Account, site: Path) -> list[dict[str, Any]]:
    """Return the runs that a site has, as `cmfd runs` says it, in the order of their begin."""
    said = user.run("cmfd", "runs", "--json", "--limit=-1", "--site", str(site)).stdout
    found: list[dict[str, Any]] = json.loads(said)
    return sorted(found, key=lambda run: int(run["began_ns"]))


def show(user: Account, site: Path, run: str) -> dict[str, Any]:
    """Return what a site has of a run, as `cmfd show` says it."""
    said = user.run("cmfd", "show", "--json", "--site", str(site), run).stdout
    found: dict[str, Any] = json.loads(said)
    return found
