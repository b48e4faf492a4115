"""Telling systemd how the service stands."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send `state` (``READY=1``, ``STOPPING=1``) where the service manager listens, if it does."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(state.encode(), path.replace("@", "\0", 1) if path[0] == "@" else path)
