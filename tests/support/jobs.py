"""Runs of jobs of which accounting has told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.packs import an_id, small_run
from support.sites import BEGIN_NS

if TYPE_CHECKING:
    from support.packs import Content

BEGIN_S = BEGIN_NS // 10**9
GIB = 1 << 30
HOUR_S = 3600

KINDS = {int: "int", float: "float", str: "str"}


def a_job(number: int, user: str = "ann", uid: int = 1000, /, **facts: float | str) -> Content:
    """Return a run of a job of 4 cores and 4 GiB that took an hour of two; facts say otherwise."""
    known: dict[str, float | str] = {
        "state": "COMPLETED", "account": "physics", "partition": "debug",
        "eligible_time_s": BEGIN_S - 60, "start_time_s": BEGIN_S, "elapsed_s": HOUR_S,
        "time_limit_s": 2 * HOUR_S, "cpus": 4, "total_cpu_s": 2.0 * HOUR_S,
        "requested_memory_bytes": 4 * GIB, "used_memory_bytes": GIB, **facts,
    }  # fmt: skip
    run, origin = an_id("run", number), an_id("proc", 9)
    content = small_run(number)
    content["run"] = [(*row[:3], uid, *row[4:7], user, *row[8:]) for row in content["run"]]
    content["fact"] = [
        (run, f"slurm.{key}", BEGIN_NS, origin, KINDS[type(value)], value)
        for key, value in known.items()
        if value != ""
    ]
    return content
