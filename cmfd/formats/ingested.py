"""What becomes of what comes in, whatever the format."""

from __future__ import annotations

import msgspec


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an execution."""

    execution: str
    pipeline: str
    stage: str
    state: str
    """``new``, ``changed``, ``known``, or ``own``: this site gave it out itself."""
