"""
Which packs came to a site from elsewhere: when, from where, and who brought them.

Packs say who made them; this says how they came, and is a site's own matter: it goes to nobody, and
nothing else depends on it. Each exchange has a file of its own in `received/`, by month: what it is
in JSON, then the packs' digests, a line each, as they arrive.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from cmfd.store.pack import is_pack_name
from cmfd.store.shared import follow, make_directory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site

DIRECTORY = "received"
"""Of a site."""

MOST_LOOKED_AT = 1000
"""How many exchanges back one looks for those that brought some packs."""


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    An exchange that brought packs.

    Attributes
    ----------
    at_ns : int
        When its first pack came.
    by : str
        Who brought them, as rules have it: ``user:ana``, ``token:ci``.
    source : str
        Where they were fetched from; empty if they were pushed.
    """

    at_ns: int
    by: str
    source: str = ""


class Receiver:
    """
    Notes what one exchange brings.

    Parameters
    ----------
    site : Site
        To which site.
    by, source : str
        As for `Receipt`.
    """

    def __init__(self, site: Site, by: str, source: str) -> None:
        self._site = site
        self._by = by
        self._source = source
        self._file: Path | None = None

    def add(self, digest: str) -> None:
        """Note a pack that came."""
        # What came is no less for that: into a site that one may only put packs into, say.
        with suppress(OSError):
            if self._file is None:
                self._file = self._begin()
            with self._file.open("a", encoding="ascii") as file:
                file.write(f"{digest}\n")

    def _begin(self) -> Path:
        now_ns = time.time_ns()
        month = datetime.fromtimestamp(now_ns / 1e9, tz=timezone.utc).strftime("%Y-%m")
        directory = self._site.path / DIRECTORY / month
        make_directory(directory)
        path = directory / f"{now_ns:020d}-{os.urandom(4).hex()}"
        head = msgspec.json.encode(Receipt(now_ns, self._by, self._source))
        with path.open("xb") as file:
            file.write(head + b"\n")
        follow(path)
        return path


def of(site: Site, digests: Collection[str]) -> dict[str, Receipt]:
    """Return which of the latest exchanges brought packs, by their digests."""
    missing = set(digests)
    found: dict[str, Receipt] = {}
    for receipt, brought in islice(_latest(site), MOST_LOOKED_AT):
        here = missing & brought
        found |= dict.fromkeys(here, receipt)
        missing -= here
        if not missing:
            break
    return found


def _latest(site: Site) -> Iterator[tuple[Receipt, set[str]]]:
    """Yield exchanges, the latest first, and what they brought; what is none is passed over."""
    for month in sorted((site.path / DIRECTORY).glob("*-*"), reverse=True):
        for path in sorted(month.iterdir(), reverse=True):
            with suppress(OSError, ValueError):
                head, *lines = path.read_text("utf-8").splitlines()
                receipt = msgspec.json.decode(head, type=Receipt)
                yield receipt, {line for line in lines if is_pack_name(f"{line}.db")}
