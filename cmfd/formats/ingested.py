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


def imported_origin(number: int) -> bytes:
    """
    Return an origin of what is taken in from other programs' files.

    No process has such an id, which begins with eight bytes of nothing. By it, a merge lets what
    cmfd recorded itself count before what was imported: see `cmfd/store/sql/site/absorb.sql`.

    Parameters
    ----------
    number : int
        1 for ML Metadata, 2 for OpenLineage; 3 for what OpenLineage's runs say of others.
    """
    return number.to_bytes(16, "big")
