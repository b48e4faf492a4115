"""
Copies that share all their blocks with a file that is known: reflinks, which hold what it holds.

`cp` makes such copies where the file system can (Btrfs, XFS), and so does DVC. A copy is a file of
its own, whose state says nothing; which blocks it lies in is asked of the kernel (FIEMAP). Blocks
are given to other files when theirs are gone: so they only lead to the file that was read, and both
are asked for as they are then. Where anything is uncertain, the copy is read.
"""

from __future__ import annotations

import array
import fcntl
import hashlib
import os
import struct

_FIEMAP = 0xC020660B
"""FS_IOC_FIEMAP, of linux/fs.h."""

_SYNC = 0x1
_LAST = 0x1
_UNCERTAIN = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""Unknown, delayed, encoded, encrypted, not aligned, inline, a tail, unwritten: linux/fiemap.h."""

_HEAD = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
_MOST = 4096
"""Pieces; of a file in more of them nothing is said."""

_TYPES = frozenset(("bcachefs", "btrfs", "ocfs2", "xfs"))
"""File systems that can share blocks between files."""


def can_share(path: str) -> bool:
    """Tell whether a path is on a file system that shares blocks between files."""
    from cmfd.filesystems import filesystem_of  # noqa: PLC0415 - only of what is to be read

    return filesystem_of(path).type in _TYPES


def blocks_of(path: str) -> str:
    """
    Return a name for the blocks that a file lies in, all of it being written to them.

    Returns
    -------
    str
        Empty where that is uncertain, or the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        request = array.array("B", bytes(_HEAD.size + _MOST * _EXTENT.size))
        _HEAD.pack_into(request, 0, 0, (1 << 64) - 1, _SYNC, 0, _MOST, 0)
        fcntl.ioctl(descriptor, _FIEMAP, request)
        at = os.fstat(descriptor)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    n_extents = _HEAD.unpack_from(request)[3]
    extents = [
        _EXTENT.unpack_from(request, _HEAD.size + i * _EXTENT.size) for i in range(n_extents)
    ]
    if not extents or not extents[-1][5] & _LAST or any(one[5] & _UNCERTAIN for one in extents):
        return ""
    text = f"blocks {at.st_dev} {at.st_size} {[one[:3] for one in extents]}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
