"""`cmfd init`: a site here, by the name that git gave such a thing."""

from __future__ import annotations

from cmfd.cli.site import init as command

__all__ = ["command"]
