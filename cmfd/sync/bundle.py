"""
One file with packs, for where no wire goes: a tar archive of packs under their names.

Each pack is named by its content, and its signature, if it has one, lies before it. `tar` can read
it, and make it.
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, TypeVar

from cmfd.errors import PackError, StoreError
from cmfd.merge import signatures
from cmfd.store.pack import is_pack_name
from cmfd.store.shared import whole
from cmfd.sync.exchange import Exchanged
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.sync.peer import Blocks, Entry, Place

    Progress = Callable[[int, int], None]

M = TypeVar("M", bound="_Member")

MANIFEST = "packs.txt"
"""Comes first: how many packs follow. An archive that was cut between two looks whole else."""

SIGNATURE = ".sig"
"""Ends the name of a pack's signature, which begins with the pack's digest."""

_MANIFEST_BYTES = 1 << 10


_EXTENDS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.GNUTYPE_SPARSE,
}


class _Member(tarfile.TarInfo):
    """
    A member of an archive whose header says all of it.

    What extends headers is as long as it says it is, and is read whole; it can say of a file in a
    few bytes that it is very long. No bundle has any.
    """

    @classmethod
    def frombuf(  # noqa: PYI019 - typing has no Self before Python 3.11
        cls: type[M], buf: bytes | bytearray, encoding: str, errors: str
    ) -> M:
        """Read a header."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENDS:
            raise tarfile.ReadError("it has headers that no bundle has")
        return found


def create(
    site: Site, path: Path, *, since: Place | None = None, on_progress: Progress | None = None
) -> Exchanged:
    """
    Write a site's merged packs into one file.

    Parameters
    ----------
    site : Site
        The site.
    path : Path
        The file; it is there whole or not at all.
    since : Place, optional
        Only those merged after this.
    on_progress : callable, optional
        Called with the number of packs done and of all.

    Raises
    ------
    StoreError
        It cannot be written; what is there under this name is as it was.
    """
    peer = SitePeer(site)
    done = Exchanged(str(path))
    try:
        packs = list(_there(site, peer.since(since), done))
        with (
            whole(path) as partial,
            tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive,
        ):
            _write_manifest(archive, len(packs))
            for pack in packs:
                _write_signature(archive, pack.stem, signatures.of(site, pack.stem))
                archive.add(pack, pack.name, recursive=False, filter=_plain)
                done.n_packs += 1
                done.n_bytes += pack.stat().st_size
                if on_progress is not None:
                    on_progress(done.n_packs, len(packs))
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error}; nothing was changed") from error
    return done


def unbundle(site: Site, path: Path, *, on_progress: Progress | None = None) -> Exchanged:
    """
    Take the packs of a file that a site lacks into its inbox.

    Parameters
    ----------
    site : Site
        The site.
    path : Path
        What `create` made, here or elsewhere; nothing in it is believed. What is no pack is
        left out.
    on_progress : callable, optional
        Called with the number of packs done, twice.

    Raises
    ------
    StoreError
        It is no bundle, or cannot be read; what came of it before is kept.
    """
    peer = SitePeer(site, source=str(path))
    done = Exchanged(str(path))
    n_seen, n_all = 0, 0
    signed: dict[str, str] = {}
    try:
        with tarfile.open(path, "r|", tarinfo=_Member) as archive:
            for member in archive:
                if member.name == MANIFEST:
                    n_all = _read_manifest(archive, member)
                    continue
                if _is_signature(member):
                    # Of the pack that comes next; more are not kept.
                    signed = {member.name[: -len(SIGNATURE)]: _read_text(archive, member)}
                    continue
                n_seen += 1
                _take(peer, archive, member, done, signed)
                if on_progress is not None:
                    on_progress(n_seen, max(n_all, n_seen))
        _check_whole(n_seen, n_all)
    except (OSError, tarfile.TarError, EOFError, RecursionError) as error:
        raise StoreError(
            f"cannot read {path}: {error}; {done.n_packs} packs of it are in the inbox."
            " Make it again: cmfd bundle create"
        ) from error
    return done


def _there(site: Site, entries: Iterable[Entry], done: Exchanged) -> Iterator[Path]:
    for entry in entries:
        pack = site.merged(entry.place.digest)
        if pack.exists():
            yield pack
        else:
            done.left_out.append((entry.place.digest, "its file is gone"))


def _write_manifest(archive: tarfile.TarFile, n_packs: int) -> None:
    _write_text(archive, MANIFEST, f"{n_packs} packs of cmfd: cmfd bundle unbundle FILE\n")


def _write_signature(archive: tarfile.TarFile, digest: str, signature: str) -> None:
    if signature:
        _write_text(archive, f"{digest}{SIGNATURE}", signature)


def _write_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text)
    archive.addfile(member, io.BytesIO(text.encode("ascii")))


def _is_signature(member: tarfile.TarInfo) -> bool:
    return member.isreg() and is_pack_name(f"{member.name.removesuffix(SIGNATURE)}.db")


def _read_text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """Return a signature, or what is none."""
    file = archive.extractfile(member)
    assert file is not None
    return file.read(signatures.MOST_BYTES + 1).decode("ascii", "replace")


def _read_manifest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    """Return how many packs are said to follow; 0 if that is not said."""
    file = archive.extractfile(member)
    said = file.read(_MANIFEST_BYTES).split(b" ", 1)[0] if file is not None else b""
    return int(said) if said.isdigit() else 0


def _check_whole(n_seen: int, n_all: int) -> None:
    if n_seen < n_all:
        raise EOFError(f"it was cut: {n_seen} of {n_all} packs are in it")


def _take(
    peer: SitePeer,
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    done: Exchanged,
    signed: Mapping[str, str],
) -> None:
    if not (member.isreg() and is_pack_name(member.name)):
        done.left_out.append((member.name, "no pack"))
        return
    digest = member.name.removesuffix(".db")
    if not peer.lacks([digest]):
        return
    file = archive.extractfile(member)
    assert file is not None

    def blocks(offset: int) -> Blocks:
        skipped = offset
        while block := file.read(BLOCK_BYTES):
            if skipped >= len(block):
                skipped -= len(block)
                continue
            yield block[skipped:]
            skipped = 0

    try:
        peer.write(digest, member.size, blocks, signature=signed.get(digest, ""))
    except PackError as error:
        done.left_out.append((digest, str(error)))
        return
    done.n_packs += 1
    done.n_bytes += member.size


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who made a pack here, and when: it is nobody's matter elsewhere."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
