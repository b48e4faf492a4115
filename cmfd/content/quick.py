"""
A quick identity of very large files: of their size and of samples, not of every byte.

The digest is the SHA-256 of the size (8 bytes, little-endian) and of `N_SAMPLES` blocks of
`SAMPLE_BYTES`, evenly spread from the first to the last; a file that is no larger than they are
together is read whole. A directory's is that of the listing of its files' (see
`cmfd.content.files`), with ``"quick"`` in place of ``"md5"``. It says ``quick:`` before it, so
that nobody takes it for an identity of all the bytes: a change between two samples escapes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat

from cmfd.content.files import Hash, states_below, why

ALGORITHM = "quick"
"""What comes before the colon of such a digest."""

N_SAMPLES = 32
SAMPLE_BYTES = 1 << 18


def quick_hash(path: str | os.PathLike[str]) -> Hash:
    """
    Identify a file or directory by its size and samples.

    Parameters
    ----------
    path : path-like
        A link is followed.

    Returns
    -------
    Hash
        Without a strong digest; with a `problem`, never an exception, when something cannot be
        read.
    """
    root = os.fspath(path).rstrip("/") or "/"
    try:
        found = os.stat(root)  # noqa: PTH116 - pathlib costs import time
        if not stat.S_ISDIR(found.st_mode):
            return Hash(f"{ALGORITHM}:{_sampled(root)}", "", found.st_size)
        files = [(name, at) for name, at in states_below(root) if not stat.S_ISDIR(at.st_mode)]
        listing = [
            {ALGORITHM: _sampled(root + name), "relpath": name.lstrip("/")} for name, _ in files
        ]
    except OSError as error:
        return Hash(problem=why(error, root))
    digest = hashlib.sha256(json.dumps(listing, sort_keys=True).encode("ascii")).hexdigest()
    size_bytes = sum(at.st_size for _, at in files)
    return Hash(f"{ALGORITHM}:{digest}.dir", "", size_bytes, len(files))


def _sampled(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "it is no regular file", path)
        digest = hashlib.sha256(found.st_size.to_bytes(8, "little"))
        for first in _samples(found.st_size):
            digest.update(os.pread(descriptor, SAMPLE_BYTES, first))
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def _samples(size_bytes: int) -> range | list[int]:
    """Return where the samples begin."""
    if size_bytes <= N_SAMPLES * SAMPLE_BYTES:
        return range(0, size_bytes, SAMPLE_BYTES)
    last = size_bytes - SAMPLE_BYTES
    return [last * number // (N_SAMPLES - 1) for number in range(N_SAMPLES)]
