"""A daemon's status document as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmfd.report import units
from cmfd.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TROUBLE = (
    "commits_failed", "slices_unusable", "malformed", "refused", "overruns", "unknown",
    "journals_unreadable", "publishes_failed", "merges_failed",
)  # fmt: skip
"""Counts of a daemon that should be 0."""


def status_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """
    Yield what `cmfd status` prints.

    Parameters
    ----------
    document : mapping
        Node directory, the daemon's own document (None without one), journals, site. What a daemon
        of another release does not say is left out.
    """
    yield f"node     {document['node_dir']}: {units.count(document['journals'], 'journal')}"
    if (daemon := document["daemon"]) is not None:
        yield from _daemon_lines(daemon)
    site = document["site"]
    waiting = f"{units.count(site['waiting'], 'pack')} waiting, {site['quarantined']} in quarantine"
    yield printable(f"site     {site['path']}: {waiting if site['exists'] else 'not made yet'}")
    for remote in document.get("remotes", ()):
        apart = f"lacks {units.count(remote['ahead'] or 0, 'pack')}, has {remote['behind']} more"
        yield printable(
            f"remote   {remote['name']} at {remote['url']}: {remote['problem'] or apart}"
        )


def _daemon_lines(daemon: Mapping[str, Any]) -> Iterator[str]:
    version, pid = daemon.get("version", "?"), daemon.get("pid", "?")
    yield f"daemon   cmfd {version}, process {pid}" + (", ending" * bool(daemon.get("stopping")))
    yield f"clients  {len(daemon.get('clients', ()))} connected"
    received, committed = daemon.get("bytes_received"), daemon.get("bytes_committed")
    commits = units.count(daemon.get("commits", 0), "commit")
    sizes = [units.size(size) for size in (received, committed, daemon.get("queued_bytes"))]
    yield f"data     {sizes[0]} received, {sizes[1]} committed in {commits}, {sizes[2]} queued"
    for name in ("commit", "ack"):
        yield from _latency(name, daemon.get(f"{name}_latency", {}))
    yield from _energy_lines(daemon.get("energy", {}))
    for run in daemon.get("runs", ()):
        problem = f": {run['problem']}" if run.get("problem") else ""
        yield printable(f"run      {run['run']} {run['state']}{problem}")
    trouble = {name: daemon[name] for name in _TROUBLE if daemon.get(name)}
    if trouble:
        yield "trouble  " + ", ".join(f"{name} {count}" for name, count in trouble.items())
    yield from (printable(f"problem  {problem}") for problem in daemon.get("problems", ()))


def _energy_lines(energy: Mapping[str, Any]) -> Iterator[str]:
    if not energy.get("on"):
        return
    if not energy.get("counts"):
        yield printable(f"energy   is not counted here: {energy.get('reason')}")
        return
    chosen = [source for source in energy.get("sources", ()) if source["counts"]]
    named = (f"{one['source']} ({one['grade']}: {', '.join(one['counts'])})" for one in chosen)
    yield printable(f"energy   is counted by {', '.join(named) or 'nothing: there is no source'}")
    for source in chosen:
        if source["advice"]:
            yield printable(f"         {source['advice']}")


def _latency(name: str, latency: Mapping[str, Any]) -> Iterator[str]:
    if latency.get("samples"):
        median, p99 = (units.duration(latency[key] * 1e9) for key in ("p50_s", "p99_s"))
        yield f"{name:8} takes {median}, at p99 {p99}"
