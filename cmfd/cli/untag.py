"""`cmfd untag`: `cmfd artifacts untag`, beside `cmfd tag`."""

from __future__ import annotations

from cmfd.cli.notes import untag as command

__all__ = ("command",)
