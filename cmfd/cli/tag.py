"""`cmfd tag`: `cmfd artifacts tag`, where one looks for it to tag a run."""

from __future__ import annotations

from cmfd.cli.notes import tag as command

__all__ = ("command",)
