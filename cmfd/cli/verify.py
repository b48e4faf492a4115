"""`cmfd verify`: is all well with a site? Short for `cmfd site verify`."""

from __future__ import annotations

from cmfd.cli.site import verify as command

__all__ = ["command"]
