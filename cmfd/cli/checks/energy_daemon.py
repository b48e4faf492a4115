"""Which daemon counts this node's energy, and what it has learned of it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from cmfd.cli.checks.finding import Finding
from cmfd.daemon.energy_election import Election, service_is_up
from cmfd.errors import CmfdError
from cmfd.wire.control import request
from cmfd.wire.endpoint import listener
from cmfd.wire.messages import StatusReply, StatusRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.config import Settings

_PATIENCE_S = 2.0
_CHECK = "energy: who counts"


def check_who_counts(settings: Settings) -> Finding:
    """Say which daemon counts, and that another one than this user's does."""
    if settings.system or service_is_up():
        return Finding(_CHECK, "ok", "the service of this node for all users")
    own = listener(settings.node_dir)
    holder = Election(settings).holder()
    if holder is None:
        return Finding(_CHECK, "ok", "no daemon does now; yours will when it runs")
    if own is not None and holder.pid == own.pid:
        return Finding(_CHECK, "ok", f"your daemon, process {holder.pid}")
    advice = (
        "One daemon on a node counts, so that nothing is counted twice. `cmfd show` says what your"
        " runs took by its figures; in reports they are only by a service for all users."
    )
    whose = "of yours" if holder.uid == os.getuid() else f"of {holder.user}"
    return Finding(_CHECK, "warn", f"another daemon {whose}, process {holder.pid}", advice)


def check_idle_power(settings: Settings) -> Iterator[Finding]:
    """Say what components draw when idle, as far as the daemon has learned it."""
    for one in _told(settings).get("idle", ()):
        name = " ".join(filter(None, (one["component"], one["domain"])))
        how = f", up to {one['spread_w']:.1f} W more, seen {one['n_seen']} times"
        how = how if one["n_seen"] else ", as configured"
        yield Finding(f"energy: {name} when idle", "ok", f"{one['power_w']:.1f} W{how}")


def _told(settings: Settings) -> dict[str, Any]:
    """Return what the daemon says of energy; nothing where none answers."""
    if listener(settings.node_dir) is None:
        return {}
    try:
        reply = request(settings.node_dir, StatusRequest(), _PATIENCE_S, system=settings.system)
    except CmfdError:
        return {}
    if not isinstance(reply, StatusReply):
        return {}
    told: dict[str, Any] = json.loads(reply.document).get("energy", {})
    return told
