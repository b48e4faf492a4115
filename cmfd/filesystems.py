"""What a path lies on: a node's own disk, memory, or what other machines see too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNT_TABLE = Path("/proc/self/mountinfo")

NETWORK_TYPES = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "cvfs", "daos", "dvs", "fhgfs", "gfs", "gfs2",
    "glusterfs", "gpfs", "lustre", "mmfs", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs",
    "pvfs2", "scoutfs", "smb3", "smbfs", "vboxsf", "virtiofs", "wekafs",
))  # fmt: skip
"""Types of file system that other machines see too, or that a server holds."""

LOCAL_FUSE_TYPES = frozenset(("fuseblk", "fuse.fuse-overlayfs", "fuse.squashfuse", "fuse.ntfs"))
MEMORY_TYPES = frozenset(("tmpfs", "ramfs"))


class Filesystem(NamedTuple):
    """What a path lies on."""

    type: str
    mount_point: str
    is_network: bool
    """Shared with, or served by, other machines: no place for journals or the node store."""
    is_memory: bool
    """Gone when the node restarts."""


def filesystem_of(path: str | Path) -> Filesystem:
    """
    Tell which kind of file system a path lies on, from the kernel's table of mounts.

    Parameters
    ----------
    path : str or Path
        Need not exist: then its nearest existing ancestor decides, as it would at creation.

    Returns
    -------
    Filesystem
        Type ``unknown`` where /proc cannot be read.
    """
    target = os.path.realpath(path)
    found = Filesystem("unknown", "/", is_network=False, is_memory=False)
    for mount_point, kind in _mounts():
        within = mount_point in ("/", target) or target.startswith(mount_point + "/")
        if within and len(mount_point) >= len(found.mount_point):  # of equals the last covers
            found = Filesystem(kind, mount_point, _is_network(kind), kind in MEMORY_TYPES)
    return found


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield (mount point, type) of every mount this process sees."""
    try:
        lines = MOUNT_TABLE.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = os.fsdecode(line).partition(" - ")
        yield _unescape(before.split(" ")[4]), after.split(" ")[0]


def _unescape(text: str) -> str:
    r"""Undo what the kernel writes for blanks and the like in a mount point: ``\040``."""
    head, *parts = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)


def _is_network(kind: str) -> bool:
    """Tell whether a file system type is served; of FUSE all but the known local ones."""
    return kind in NETWORK_TYPES or (kind.startswith("fuse") and kind not in LOCAL_FUSE_TYPES)
