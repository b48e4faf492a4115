"""A site in a directory that this process can reach, as one to exchange packs with."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from cmfd.errors import NotFoundError, PackError, SchemaTooNewError, StoreError
from cmfd.merge import inbox, quota, signatures
from cmfd.merge.batch import merge_site
from cmfd.merge.index import connect_index, has_index
from cmfd.merge.layout import INCOMING, PARTIAL_SUFFIX
from cmfd.merge.quarantine import quarantine
from cmfd.merge.receipts import Receiver
from cmfd.merge.rules import Rules, about, user_of
from cmfd.merge.superseded import superseded
from cmfd.query.index import explained, open_index
from cmfd.store.connection import named
from cmfd.store.pack import is_pack_name, sha256_of, sync_directory
from cmfd.store.shared import follow, make_directory
from cmfd.sync.partial import is_at, is_own, opened, remove_if_left, synced
from cmfd.sync.peer import (
    BLOCK_BYTES,
    MOST_PACK_BYTES,
    MOST_SIGNATURES,
    PROTOCOL_VERSION,
    About,
    Entry,
    Part,
    Place,
    Signed,
    Taken,
)
from cmfd.sync.view import part_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cmfd.merge.inspect import Inspector
    from cmfd.merge.layout import Site
    from cmfd.merge.rules import Pusher
    from cmfd.merge.signatures import Signer
    from cmfd.sync.peer import Blocks, FromOffset, Guess, Wanted
    from cmfd.sync.resources import Sent

_PAGE = 1000

_CHECKED_BYTES = 64 << 20
"""After so much of a pack it is asked again whether the rest may come."""


class SitePeer:
    """
    A site's directory.

    Parameters
    ----------
    site : Site
        The site.
    key : Path, optional
        An ssh key that signs what is sent from here.
    who : Pusher, optional
        Who hands packs over, and so what rules of the site they must keep to; None: the site takes
        them of its own accord.
    source : str
        Where the site fetches them, for its log.
    """

    def __init__(
        self,
        site: Site,
        key: Path | None = None,
        *,
        who: Pusher | None = None,
        source: str = "",
    ) -> None:
        self.site = site
        self._key = key
        self._who = who
        self._rules = Rules()
        self._pipelines: tuple[str, ...] = ()
        self._receiver = Receiver(site, str(who or user_of(os.geteuid())), source)

    def about(self, guess: Guess | None = None) -> About:
        """Say who it is."""
        del guess  # nothing is far away
        with self._index() as db:
            row = None if db is None else db.execute(_sql("newest")).fetchone()
        newest = None if row is None else Place(*row)
        n_packs = 0 if newest is None else newest.number
        return About(
            self.site.id,
            PROTOCOL_VERSION,
            n_packs,
            self.n_waiting(),
            newest,
            signatures.count(self.site),
        )

    def count_since(self, place: Place | None) -> int | None:
        """Count the packs that came after a place; None if the order is another by now."""
        with self._index() as db:
            if db is None:
                return 0 if place is None else None
            if place is not None and not _is_place(db, place):
                return None
            number = 0 if place is None else place.number
            count: int = db.execute(_sql("count_since"), {"number": number}).fetchone()[0]
            return count

    def since(self, place: Place | None) -> Iterator[Entry]:
        """Yield its packs in their order: those after a place, all where that is no place of it."""
        while True:
            # A page at a time: nobody is kept from merging while packs are sent. Somebody may
            # even make the index anew, and its packs have other numbers then.
            with self._index() as db:
                if db is None:
                    return
                number = place.number if place is not None and _is_place(db, place) else 0
                asked = {"number": number, "limit": _PAGE}
                rows = db.execute(_sql("since"), asked).fetchall()
            if not rows:
                return
            gone = superseded(self.site)
            for number, digest, merged_ns, size_bytes in rows:
                place = Place(number, digest, merged_ns)
                if digest not in gone:
                    yield Entry(place, size_bytes, signatures.of(self.site, digest))
            if len(rows) < _PAGE:
                return

    def lacks(self, digests: Sequence[str]) -> list[str]:
        """Return which of these packs it neither has nor waits to merge."""
        gone = superseded(self.site)
        with self._index() as db:
            return [
                digest
                for digest in digests
                if is_pack_name(f"{digest}.db")
                and digest not in gone
                and not self._waits(digest)
                and not (db is not None and self._has(db, digest))
            ]

    def _waits(self, digest: str) -> bool:
        """Say whether a pack waits for a merge; anybody may have put anything there."""
        try:
            there = self.site.inbox / f"{digest}.db"
            return there.is_file() and sha256_of(there) == digest
        except OSError:
            return False

    def _has(self, db: sqlite3.Connection, digest: str) -> bool:
        """Say whether a pack was merged, and its file is still there."""
        known = db.execute(_sql("has"), {"digest": digest}).fetchone() is not None
        return known and self.site.merged(digest).exists()

    def part(self, wanted: Wanted) -> Part:
        """
        Return the packs of a part of it.

        Raises
        ------
        FilterError
            It cannot be understood which.
        """
        if not has_index(self.site):
            return Part([], 0, 0, 0)
        with open_index(self.site.path) as db:
            part = part_of(db, wanted, pipelines=self._pipelines)
        gone = superseded(self.site)
        signed = [
            msgspec.structs.replace(one, signature=signatures.of(self.site, one.place.digest))
            for one in part.entries
            if one.place.digest not in gone
        ]
        return msgspec.structs.replace(part, entries=signed)

    def vouch(self, entry: Entry) -> str:
        """
        Return the signature that a pack of it is sent with.

        Raises
        ------
        ConfigError
            The key cannot be used.
        """
        digest = entry.place.digest
        if self._key is None or entry.signature:
            return entry.signature
        if not signatures.of(self.site, digest):  # it may have been signed since it was listed
            signatures.sign(self.site, [digest], self._key)
        return signatures.of(self.site, digest)

    def announce(self, entries: Sequence[Entry]) -> None:
        """Be told which packs of it will be read next."""
        del entries  # nothing is far away

    def promise(self, packs: Iterable[Sent]) -> None:
        """Be handed packs that it most likely lacks."""
        del packs  # nothing is far away
        _inspector().start()  # meanwhile it gets ready to read them

    def file_of(self, digest: str) -> Path:
        """
        Return where a merged pack is.

        Raises
        ------
        NotFoundError
            It has none of that name, or no longer.
        """
        path = self.site.merged(digest) if is_pack_name(f"{digest}.db") else None
        if path is None or not path.is_file():
            raise NotFoundError(f"there is no pack {digest[:80]!r} here")
        return path

    def read(self, digest: str, offset: int) -> Blocks:
        """
        Yield the bytes of a pack from an offset.

        Raises
        ------
        NotFoundError
            It has none of that name, or no longer.
        StoreError
            It cannot be read.
        """
        if not is_pack_name(f"{digest}.db") or not 0 <= offset <= MOST_PACK_BYTES:
            raise NotFoundError(f"there is no byte {offset} of a pack {digest[:80]!r}")
        try:
            with self.site.merged(digest).open("rb", buffering=0) as file:
                file.seek(offset)
                while block := file.read(BLOCK_BYTES):
                    yield block
        except FileNotFoundError as error:
            raise NotFoundError(f"{self.site.path} has no pack {digest}") from error
        except OSError as error:
            raise StoreError(f"cannot read pack {digest} of {self.site.path}: {error}") from error

    def write(
        self, digest: str, size_bytes: int, blocks: FromOffset, *, signature: str = ""
    ) -> None:
        """
        Take a pack into the inbox; what came of an earlier try that was cut is not asked for again.

        Parameters
        ----------
        digest : str
            Its sha256.
        size_bytes : int
            How large it says it is.
        blocks : callable
            Gives its bytes from an offset.
        signature : str
            Of who vouches for it.

        Raises
        ------
        PackError
            What came is not what the digest says, or its sender may not push it, and it is thrown
            away; or it is no sound pack, and it is kept apart.
        StoreError
            It cannot be written here; what came is kept for the next try.
        """
        if not is_pack_name(f"{digest}.db") or not 0 < size_bytes <= MOST_PACK_BYTES:
            raise PackError(f"{digest[:80]!r} of {size_bytes} bytes is no pack; it was not taken")
        self._rules = self._rules_now()
        signatures.check(self.site, digest, signature)
        signer = signatures.signer(self.site, digest, signature) if signature else None
        _inspector().start()
        try:
            self._write(digest, size_bytes, blocks, signature if signer is not None else "", signer)
        except OSError as error:
            raise StoreError(
                f"cannot write pack {digest} into {self.site.path}: {error};"
                " what came of it is kept, and the next exchange goes on from there"
            ) from error

    def take(self, digest: str, data: bytes, *, signature: str = "") -> None:
        """
        Take a pack that came whole, unless it is here.

        Parameters and errors are those of `write`.
        """

        def blocks(offset: int) -> Blocks:
            yield data[offset:]

        if self.lacks([digest]) or not is_pack_name(f"{digest}.db"):
            self.write(digest, len(data), blocks, signature=signature)

    def _rules_now(self) -> Rules:
        """Return what who hands packs over must keep to."""
        return Rules() if self._who is None else Rules.of(self.site)

    def n_come(self, digest: str) -> int:
        """Return how many bytes of a pack came in a try that was cut."""
        if not is_pack_name(f"{digest}.db"):
            return 0
        try:
            return self._part_of(digest).stat().st_size
        except OSError:
            return 0

    def _part_of(self, name: str) -> Path:
        return self.site.path / INCOMING / f"{name}{PARTIAL_SUFFIX}"

    def _write(
        self,
        digest: str,
        size_bytes: int,
        blocks: FromOffset,
        signature: str,
        signer: Signer | None,
    ) -> None:
        make_directory(self.site.path / INCOMING)
        with self._partial(digest) as (path, file):
            come = min(file.seek(0, os.SEEK_END), size_bytes)
            quota.check_incoming(self.site, size_bytes - come)
            file.seek(come)
            again = come + _CHECKED_BYTES
            with closing(blocks(come)) as incoming:
                for block in incoming:
                    if come >= again:  # others may have begun since
                        quota.check_incoming(self.site, size_bytes - come)
                        again = come + _CHECKED_BYTES
                    come += len(block)
                    file.write(block)
                    if come > size_bytes:
                        break
            file.flush()
            if come < size_bytes:
                raise PackError(
                    f"pack {digest} ended after {come} of {size_bytes} bytes;"
                    " the next exchange goes on from there"
                )
            with synced(file):
                self._check(path, digest, "" if signer is None else signer.name)
            if self._rules.restrict:
                # Read as its directory says, and written by nobody any more.
                os.fchmod(file.fileno(), path.parent.stat().st_mode & 0o444)
            self._accept(path, digest, signature)

    def _check(self, path: Path, digest: str, signer: str) -> None:
        """Raise if what came is no sound pack, or one that its sender may not push."""
        try:
            said = _inspector().inspect(
                path, digest, about=self._rules.restrict, who=str(self._who or "")
            )
        except (PackError, SchemaTooNewError) as error:
            done = _put_apart(self.site, path, digest, str(error))
            raise PackError(f"pack {digest}: {error}; {done}") from error
        if self._who is not None and self._rules.restrict:
            reason = self._rules.refuse(self._who, about(self.site, said, signer))
            if reason is not None:
                path.unlink()
                raise PackError(f"pack {digest}: {reason}; it was thrown away")

    def _accept(self, path: Path, digest: str, signature: str) -> None:
        if signature:  # of a pack that never came, nothing is kept
            signatures.keep(self.site, digest, signature)
        make_directory(self.site.inbox)
        if not self._rules.restrict:
            follow(path, final=True)
        path.rename(self.site.inbox / f"{digest}.db")
        remove_if_left(self._part_of(digest))
        sync_directory(self.site.inbox)
        self._receiver.add(digest)

    @contextmanager
    def _partial(self, digest: str) -> Iterator[tuple[Path, BinaryIO]]:
        """Open what there is of a pack; who comes while another sends it begins one of its own."""
        for name in (digest, f"{digest}-{os.urandom(8).hex()}"):
            path = self._part_of(name)
            try:
                file = opened(path)
            except OSError:
                if name != digest:
                    raise
                continue  # another user's exchange left it, who alone can go on; or it is no file
            with file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    if error.errno in {errno.EAGAIN, errno.EACCES}:
                        continue
                    raise
                if not is_at(path, file):
                    continue  # who had it was done with it just now
                if not self._rules.restrict:
                    follow(path)  # others may go on with it
                elif not is_own(file):
                    continue  # its owner is who pushes, as rules have it
                with self._left_if_cut(path, file, digest):
                    yield path, file
                return
        raise StoreError(f"cannot lock {path}")  # a name of its own is nobody else's

    @contextmanager
    def _left_if_cut(self, path: Path, file: BinaryIO, digest: str) -> Iterator[None]:
        """Remove what came, if the block fails and nobody would go on from there."""
        try:
            yield
        except BaseException:
            is_found = path == self._part_of(digest) and self.lacks([digest])
            if not is_found and is_at(path, file):
                path.unlink()
            raise

    def signed_since(self, number: int) -> Iterator[Signed]:
        """Yield the signatures that it got after so many."""
        for one in signatures.since(self.site, max(number, 0)):
            yield Signed(*one)

    def take_signatures(self, signed: Sequence[Signed]) -> None:
        """
        Keep signatures of packs that it has and that have none, or nobody's whom it knows.

        Raises
        ------
        StoreError
            They cannot be written.
        """
        with self._index() as db:
            for one in signed[:MOST_SIGNATURES]:
                is_here = db is not None and self._has(db, one.digest)
                if is_pack_name(f"{one.digest}.db") and (is_here or self._waits(one.digest)):
                    self._take_signature(one)

    def _take_signature(self, signed: Signed) -> None:
        try:
            signatures.take(self.site, signed.digest, signed.signature)
        except OSError as error:
            raise StoreError(
                f"cannot write the signature of {signed.digest} into {self.site.path}: {error};"
                " it is sent again by the next exchange"
            ) from error

    def merge(self) -> Taken:
        """Merge what waits there, if one may; else its operator's next merge takes it."""
        if not os.access(self.site.path, os.W_OK):
            return Taken(0, self.n_waiting(), {})
        done = merge_site(self.site.path)
        refused = {path.name[:64]: reason for path, reason in done.quarantined}
        return Taken(done.absorbed, done.left_in_inbox, refused, done.busy_holder)

    def n_waiting(self) -> int:
        """Count the packs that wait there for a merge, where one may see them."""
        try:
            return inbox.n_waiting(self.site)
        except PermissionError:  # one may put packs there, and no more
            return 0

    @contextmanager
    def _index(self) -> Iterator[sqlite3.Connection | None]:
        """Open the index; there is none before the first merge."""
        if not has_index(self.site):
            yield None
            return
        with explained(self.site.index), closing(connect_index(self.site)) as db:
            yield db


def _inspector() -> Inspector:
    from cmfd.merge.inspect import shared  # noqa: PLC0415 - 5 ms, and often nothing is new

    return shared


def _sql(name: str) -> str:
    return named("site/exchange")[name]


def _put_apart(site: Site, path: Path, digest: str, reason: str) -> str:
    """Put what is no sound pack into quarantine, unless it was damaged on its way."""
    done = "it was thrown away"
    if not reason.startswith(("corrupt", "truncated")):
        if quota.has_room(site, path):
            with suppress(OSError):  # one may put packs there, and no more
                quarantine(site, path.rename(path.with_name(f"{digest}.db")), reason)
                return "it was kept apart"
        else:
            done += ", since the quarantine there is full (cmfd site gc --remove)"
    path.unlink(missing_ok=True)
    return done


def _is_place(db: sqlite3.Connection, place: Place) -> bool:
    if not 0 < place.number < 1 << 63:  # SQLite has no such number
        return False
    row = db.execute(_sql("at"), {"number": place.number}).fetchone()
    return bool(row == (place.digest, place.merged_ns))
