"""
What a daemon tells Prometheus of its node's energy: in a file, to who asks, or not at all.

Counters are since the daemon began, and begin anew with it, as counters of Prometheus may. Of runs
only those that are here are told of: series of those that are over would pile up.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cmfd
from cmfd.daemon.border import attempt
from cmfd.exposition import Family, Sample, text, write_textfile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cmfd.config import Settings
    from cmfd.daemon.effects import JobHere
    from cmfd.daemon.scrape import Endpoint

log = logging.getLogger(__name__)

_UJ_PER_J = 1e6


class Exposer:
    """
    Keeps what is told up to date.

    Parameters
    ----------
    settings : Settings
        To whom it is told: `prometheus_textfile`, `prometheus_listen`.
    node : str
        The node's name.
    """

    def __init__(self, settings: Settings, node: str) -> None:
        self._settings = settings
        self._node = node
        self._n_ticks = 0
        self._ticks_s = 0.0
        self._text = ""
        self._problem = ""
        self._endpoint: Endpoint | None = None
        self._has_tried = False

    def tell(self, told: Mapping[str, Any], runs: Iterable[bytes], jobs: Iterable[JobHere]) -> None:
        """
        Take new figures.

        Parameters
        ----------
        told : mapping
            The status document's part on energy.
        runs : iterable of bytes
            Those that are here.
        jobs : iterable of JobHere
            Which of them are jobs.
        """
        self._n_ticks += 1
        self._ticks_s += told["tick_s"]
        if not self._settings.prometheus_textfile and not self._settings.prometheus_listen:
            return
        labels = {run.hex(): {"run": run.hex()} for run in runs}
        for job in jobs:
            if job.run.hex() in labels:
                labels[job.run.hex()] |= {"job_id": job.number, "uid": str(job.uid)}
        found = [*families(told, self._node, labels), *self._of_itself()]
        self._text = text(found)
        self._listen()
        if self._settings.prometheus_textfile:
            path = Path(self._settings.prometheus_textfile)
            error = attempt(write_textfile, path, found)
            problem = str(error or "")
            if problem and problem != self._problem:
                log.warning("figures for Prometheus cannot be written to %s: %s", path, problem)
            self._problem = problem

    def close(self) -> None:
        """Tell nobody any more; figures of a daemon that is gone would look alive."""
        if self._endpoint is not None:
            self._endpoint.close()
        if self._settings.prometheus_textfile and self._text:
            attempt(Path(self._settings.prometheus_textfile).unlink, missing_ok=True)

    def _listen(self) -> None:
        """Begin to answer, once."""
        if self._has_tried or not self._settings.prometheus_listen:
            return
        self._has_tried = True
        from cmfd.daemon.scrape import Endpoint  # noqa: PLC0415 - most daemons have none

        error = attempt(self._open, Endpoint)
        if error is not None:
            log.warning("nobody can ask for figures at %s: %s",
                        self._settings.prometheus_listen, error)  # fmt: skip

    def _open(self, kind: type[Endpoint]) -> None:
        self._endpoint = kind(self._settings.prometheus_listen, lambda: self._text)

    def _of_itself(self) -> list[Family]:
        node = {"node": self._node}
        return [
            Family(
                "cmfd_sampler_tick_seconds", "summary", "How long a round of reading energy takes.",
                [
                    Sample(node, self._ticks_s, "_sum"),
                    Sample(node, float(self._n_ticks), "_count"),
                ],
            ),
            Family(
                "cmfd_build_info", "gauge", "Which cmfd this is.",
                [Sample({**node, "version": cmfd.__version__}, 1.0)],
            ),
        ]  # fmt: skip


def families(
    told: Mapping[str, Any], node: str, runs: Mapping[str, Mapping[str, str]]
) -> list[Family]:
    """
    Return the figures of a status document's part on energy.

    Parameters
    ----------
    told : mapping
        That part.
    node : str
        The node's name.
    runs : mapping
        Labels of the runs that are here, by their ids.
    """
    own = {"node": node}
    counted = [one for one in told.get("totals", ()) if one["role"] == "count"]

    def sums(owners: Iterable[str], *labels: str) -> list[Sample]:
        added: dict[tuple[tuple[str, str], ...], int] = {}
        for one in counted:
            if one["owner"] in owners and (one["owner"] != "run" or one["run"] in runs):
                of_run = runs.get(one["run"], {})
                key = tuple({**own, **of_run, **{name: one[name] for name in labels}}.items())
                added[key] = added.get(key, 0) + one["uj"]
        return [Sample(dict(key), uj / _UJ_PER_J) for key, uj in added.items()]

    return [
        Family(
            "cmfd_node_energy_joules_total", "counter",
            "Energy that the counters of this node moved.",
            sums(("counter",), "component", "source", "grade"),
        ),
        Family(
            "cmfd_job_energy_joules_total", "counter",
            "Energy that a run took on this node, while it is here.",
            sums(("run",), "component", "grade"),
        ),
        Family(
            "cmfd_energy_unattributed_joules_total", "counter",
            "Energy of this node that is no run's: idle, or of the system.",
            sums(("idle", "system"), "owner", "component"),
        ),
        Family(
            "cmfd_source_up", "gauge", "Whether a source of energy readings is available.",
            [
                Sample({**own, "source": one["source"]}, float(one["status"] == "available"))
                for one in told.get("sources", ())
            ],
        ),
    ]  # fmt: skip
