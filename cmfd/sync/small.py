"""Small packs of a site, which go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.errors import NotFoundError
from cmfd.sync.resources import BATCH_BYTES, SMALL_BYTES, Sent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.sync.local import SitePeer


def read_small(peer: SitePeer, digests: Sequence[str]) -> Iterator[Sent]:
    """
    Yield the first of some packs that are there, as many as go together.

    Those that are large or not there are left out: it is told to who asks for one alone.
    """
    n_bytes = 0
    for digest in digests:
        try:
            path = peer.file_of(digest)
            size_bytes = path.stat().st_size
            if size_bytes > SMALL_BYTES:
                continue
            n_bytes += size_bytes
            if n_bytes > BATCH_BYTES:
                return
            yield Sent(digest, path.read_bytes())
        except (NotFoundError, OSError):
            continue
