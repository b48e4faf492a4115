"""
Up to when a node's counters were read, for whoever reads them next.

A daemon that was killed goes on from where it ended, since nobody has counted what the counters
moved meanwhile; unless somebody has. Each daemon that counts says so in a small file of its own,
where all users of the node can read it. Of that, whoever reads it believes no more than that he
must not go on: he counts from now on. So a false mark costs what a true one does, and to leave a
true one any user may count while no other does. Nobody can write, replace or hide the mark of
another: directories for temporary files are sticky, and names are random.

Who goes on needs his own mark, too. So a daemon that ends where nobody goes on from it says that,
and removes its mark, unless another may go on whose mark is there still: no job leaves one behind.

Behind the mark is what the counters have moved, for daemons that stand by: they tell their users
what runs took by it, which is added to nothing. They believe that of nobody but who counts, as the
kernel says.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import struct
import zlib
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cmfd import identity
from cmfd.energy.presence import Counted
from cmfd.energy.sampler import LONGEST_GAP_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cmfd.config import Settings

PLACES = (Path("/dev/shm"), Path("/var/tmp"))  # noqa: S108 - that all users may write there is what it is for
"""Some jobs have a first one of their own, some services a second one."""
_PREFIX = "cmfd-energy."
_FORM = struct.Struct("<8s16s16s16sq")
_MAGIC = b"cmfdmark"
_CHAIN_OFFSET = struct.calcsize("<8s16s")
_HEAD = struct.Struct("<II")
"""Before figures: how many bytes, and their CRC-32."""
_MOST_BYTES = 1 << 16
_NOBODY = bytes(16)
"""The chain of a mark from whose end nobody goes on."""
_MOST_FILES = 1000
"""Anybody may make more of that name: where there are, they are not read, and nobody goes on."""


class Mark(NamedTuple):
    """
    What a daemon says.

    Attributes
    ----------
    boot : bytes
        Which boot of the node it is about.
    chain : bytes
        The same in what goes on from each other: who goes on where another ended keeps it.
    store : bytes
        Digest of what is counted and where it is stored.
    boot_ns : int
        Up to when.
    """

    boot: bytes
    chain: bytes
    store: bytes
    boot_ns: int


class Marks:
    """
    The marks of this node.

    Parameters
    ----------
    boot : bytes
        Which boot of the node this is.
    counters : Path
        Where counters are looked for: who looks elsewhere counts something else.
    store : Path
        Where this daemon stores what it counts.
    places : tuple of Path
        Where marks are.
    """

    def __init__(
        self, boot: bytes, counters: Path, store: Path, places: tuple[Path, ...] = PLACES
    ) -> None:
        self._boot = boot
        self._prefix = _PREFIX + hashlib.sha256(os.fsencode(counters)).hexdigest()[:8] + "."
        self._store = _digest_of(store)
        self._places = places
        self._files: dict[int, Path] | None = None

    def has(self, chain: bytes) -> bool:
        """Tell whether a mark is there with a chain."""
        return not self._is_crowded() and any(
            (mark.boot, mark.chain) == (self._boot, chain)
            for _, _, mark, _ in self._found(self._prefix)
        )

    def has_counted(self, since_ns: int, chain: bytes, now_ns: int) -> bool:
        """
        Tell whether somebody else has counted.

        Parameters
        ----------
        since_ns : int
            Since then, by the clock that begins with the boot.
        chain : bytes
            A mark with this is one's own.
        now_ns : int
            The time now: nobody has counted longer than until then.
        """
        return self._is_crowded() or any(
            mark.boot == self._boot and mark.chain != chain and since_ns < mark.boot_ns <= now_ns
            for _, _, mark, _ in self._found(self._prefix)
        )

    def tell(self, chain: bytes, boot_ns: int, moved: Iterable[Counted] = ()) -> None:
        """Say that counters were read, and what they moved, where that can be said."""
        if self._files is None:
            self._forget(boot_ns)
            made = [self._made(place) for place in self._places]
            self._files = dict(one for one in made if one is not None)
        figures = msgspec.msgpack.encode(list(moved))
        said = _FORM.pack(_MAGIC, self._boot, chain, self._store, boot_ns)
        said += _HEAD.pack(len(figures), zlib.crc32(figures)) + figures
        for file in self._files:
            with suppress(OSError):  # no space, say
                os.pwrite(file, said, 0)

    def moved(self, uid: int) -> tuple[Mark, list[Counted]] | None:
        """
        Return what the counters have moved, as a user's daemon says.

        Parameters
        ----------
        uid : int
            Who counts now; what others say is not looked at.

        Returns
        -------
        tuple of Mark and list of Counted, or None
            When, and what since that daemon began; None: it does not say.
        """
        found = [
            (mark, said)
            for _, _, mark, said in self._found(self._prefix, uid)
            if mark.boot == self._boot
        ]
        if not found:
            return None
        mark, said = max(found, key=lambda one: one[0].boot_ns)
        figures = _figures(said)
        return None if figures is None else (mark, figures)

    def close(self, now_ns: int, *, goes_on: bool) -> None:
        """
        End.

        Parameters
        ----------
        now_ns : int
            The time now, by the clock that begins with the boot.
        goes_on : bool
            A daemon may go on from here: what is said stays.
        """
        files, self._files = self._files or {}, None
        if not goes_on:
            for file in files:  # before looking at others, which may end just now, too
                with suppress(OSError):
                    os.pwrite(file, _NOBODY, _CHAIN_OFFSET)
            if not self._is_needed(now_ns):
                for path in (*files.values(), *self._of_own_store()):
                    with suppress(OSError):
                        path.unlink()
        for file in files:
            os.close(file)

    def _of_own_store(self) -> list[Path]:
        """Return the marks of daemons that were killed before this one began, and read nothing."""
        found = self._found(self._prefix, os.geteuid())
        return [path for path, _, mark, _ in found if mark.store == self._store]

    def _is_needed(self, now_ns: int) -> bool:
        """Tell whether another daemon may go on from before this one counted."""
        return self._is_crowded() or any(
            mark.boot == self._boot
            and mark.chain != _NOBODY
            and mark.store != self._store
            and mark.boot_ns >= now_ns - LONGEST_GAP_NS
            for _, _, mark, _ in self._found(self._prefix)
        )

    def _made(self, place: Path) -> tuple[int, Path] | None:
        path = place / f"{self._prefix}{secrets.token_hex(8)}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            file = os.open(path, flags, 0o644)
        except OSError:
            return None
        os.fchmod(file, 0o644)  # whatever the mask: others are to read it
        return file, path

    def _forget(self, now_ns: int) -> None:
        """Remove of this user what daemons left whom nobody goes on from, or this one does."""
        for path, _, mark, _ in self._found(_PREFIX, os.geteuid()):
            is_late = mark.boot != self._boot or mark.boot_ns < now_ns - LONGEST_GAP_NS
            if is_late or mark.store == self._store:
                with suppress(OSError):
                    path.unlink()

    def _found(
        self, prefix: str, uid: int | None = None
    ) -> Iterator[tuple[Path, int, Mark, bytes]]:
        """Yield marks whose names begin so, of a user or all, whose they are, what is behind."""
        for entry in islice(self._entries(prefix), _MOST_FILES):
            with suppress(OSError):
                if uid is not None and entry.stat(follow_symlinks=False).st_uid != uid:
                    continue
            if (found := _read(Path(entry.path))) is not None and uid in (None, found[0]):
                yield (Path(entry.path), *found)

    def _is_crowded(self) -> bool:
        """Tell whether there are more than `_found` reads."""
        return next(islice(self._entries(self._prefix), _MOST_FILES, None), None) is not None

    def _entries(self, prefix: str) -> Iterator[os.DirEntry[str]]:
        for place in self._places:
            with suppress(OSError), os.scandir(place) as entries:
                yield from (entry for entry in entries if entry.name.startswith(prefix))


def marks_of(settings: Settings) -> Marks:
    """Return what a daemon says with these settings, which is not there any more."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return Marks(identity.parse(boot), settings.energy_sysfs, settings.node_dir / "node.db")


def _digest_of(store: Path) -> bytes:
    """Return what tells stores apart, also those of one path, as jobs with an own /var/tmp have."""
    said = hashlib.sha256(os.fsencode(store))
    with suppress(OSError):
        found = store.parent.stat()
        said.update(b" %d %d" % (found.st_dev, found.st_ino))
    return said.digest()[:16]


def _figures(said: bytes) -> list[Counted] | None:
    try:
        n_bytes, crc = _HEAD.unpack_from(said)
        figures = said[_HEAD.size : _HEAD.size + n_bytes]
        if zlib.crc32(figures) != crc:
            return None  # it is just being written
        return msgspec.msgpack.decode(figures, type=list[Counted])
    except (struct.error, msgspec.MsgspecError):
        return None


def _read(path: Path) -> tuple[int, Mark, bytes] | None:
    """Return whose a mark is, what it says, and what is behind it; None: it is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        said = os.pread(file, _MOST_BYTES, 0)
        magic, *words = _FORM.unpack_from(said)
    except (OSError, struct.error):
        return None
    finally:
        os.close(file)
    return (status.st_uid, Mark(*words), said[_FORM.size :]) if magic == _MAGIC else None
