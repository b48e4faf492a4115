"""
Fetching from and pushing to another site: what one has and the other lacks, and nothing else.

Both remember how far the last exchange came, so that the cost is that of what is new. Nothing is
ever removed on either side, and a pack arrives whole or not at all: an exchange that was cut goes
on where it ended.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import msgspec

from cmfd.errors import NotFoundError, PackError, RemoteError, StoreError
from cmfd.merge import signatures
from cmfd.sync import remotes
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import (
    MOST_DIGESTS,
    MOST_SIGNATURES,
    MOST_TOGETHER,
    Guess,
    check_protocol,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.sync.peer import About, Entry, Part, Peer, Place, Taken, Wanted
    from cmfd.sync.resources import Sent

    Progress = Callable[[int, int], None]

T = TypeVar("T")

_MOST_GUESSED = 500
"""How many packs the first question is about: of more, it is asked as they are sent."""

_PROMISED_BYTES = 1 << 19
"""So much may go over in vain, where others brought the same packs there."""


class Exchanged(msgspec.Struct):
    """
    What an exchange moved.

    Attributes
    ----------
    remote : str
        Where the other site is.
    n_packs, n_bytes : int
        What was sent, but for what the receiver refused.
    left_out : list of (str, str)
        Packs, by digest, that could not be sent, and why.
    taken : Taken or None
        What the receiver made of them; None if it was not told to merge.
    part : Part or None
        Of which part of the sender's runs they are, without its packs; None if of all.
    sent : dict of str to int
        Which packs, by digest, were sent, and their sizes.
    """

    remote: str
    n_packs: int = 0
    n_bytes: int = 0
    left_out: list[tuple[str, str]] = []
    taken: Taken | None = None
    part: Part | None = None
    sent: dict[str, int] = {}

    def refuse(self, refused: Mapping[str, str]) -> None:
        """Count packs, by digest, as left out, and why."""
        for digest, reason in sorted(refused.items()):
            self.left_out.append((digest, reason))
            size_bytes = self.sent.pop(digest, None)
            if size_bytes is not None:
                self.n_packs -= 1
                self.n_bytes -= size_bytes


class Standing(msgspec.Struct, frozen=True):
    """
    How a site stands to another.

    Attributes
    ----------
    ahead : int
        How many packs are merged here that the other lacks.
    behind : int
        How many are merged there that this one lacks.
    """

    ahead: int
    behind: int


def fetch(  # noqa: PLR0913 - two sites, what of them, and who is told
    site: Site,
    remote: remotes.Remote,
    peer: Peer,
    *,
    everything: bool = False,
    wanted: Wanted | None = None,
    on_progress: Progress | None = None,
) -> Exchanged:
    """
    Bring what another site has and this one lacks into the inbox.

    Parameters
    ----------
    site : Site
        This one.
    remote : Remote
        The other, by name.
    peer : Peer
        The other.
    everything : bool
        Compare all packs, not only those since the last time.
    wanted : Wanted, optional
        Only this part.
    on_progress : callable, optional
        Called with the number of packs done and the number known so far.

    Returns
    -------
    Exchanged
        What came. It waits for a merge.

    Raises
    ------
    RemoteError, StoreError
        The other side or this one cannot go on. What came is kept.
    FilterError
        It cannot be understood which part.
    """
    begin = None if everything or wanted is not None else remotes.progress(site, remote).fetched
    reached, about = _progress(site, remote, peer, Guess(place=begin))
    own = SitePeer(site, source=remote.url)
    if wanted is not None:
        return _send_part(peer, own, wanted, Exchanged(remote.url), on_progress)
    begin = None if everything else reached.fetched
    done, last = _send(peer, own, begin, Exchanged(remote.url), on_progress)
    there = 0 if everything or about.n_signed < reached.signed_there else reached.signed_there
    if about.n_signed > there:
        there = _send_signatures(peer, own, there, done)
    if not done.left_out:
        into = own.about().newest
        reached = msgspec.structs.replace(reached, signed_there=there)
        if last is not None:
            reached = msgspec.structs.replace(reached, fetched=last, fetched_into=into)
        remotes.remember(site, remote, reached)
    return done


def pull(  # noqa: PLR0913 - two sites, what of them, and who is told
    site: Site,
    remote: remotes.Remote,
    peer: Peer,
    *,
    everything: bool = False,
    wanted: Wanted | None = None,
    on_progress: Progress | None = None,
) -> Exchanged:
    """
    Bring what another site has and this one lacks, and merge it.

    Parameters and errors are those of `fetch`.

    Returns
    -------
    Exchanged
        What came, and what this site made of it.
    """
    done = fetch(site, remote, peer, everything=everything, wanted=wanted, on_progress=on_progress)
    own = SitePeer(site)
    done.taken = own.merge()
    done.refuse(done.taken.refused)
    reached = remotes.progress(site, remote)
    if reached.fetched is not None:
        into = own.about().newest
        remotes.remember(site, remote, msgspec.structs.replace(reached, fetched_into=into))
    return done


def push(  # noqa: PLR0913 - two sites, what of them, and who is told
    site: Site,
    remote: remotes.Remote,
    peer: Peer,
    *,
    everything: bool = False,
    wanted: Wanted | None = None,
    key: Path | None = None,
    on_progress: Progress | None = None,
) -> Exchanged:
    """
    Send what this site has merged and another lacks, and have it merged there.

    Parameters are those of `fetch`, and

    key : Path, optional
        An ssh key that signs what is sent and has no signature yet.

    Returns
    -------
    Exchanged
        What was sent, and what the other made of it.

    Raises
    ------
    RemoteError, StoreError
        The other side or this one cannot go on. What arrived is kept there.
    """
    source = SitePeer(site, key)
    known = remotes.progress(site, remote)
    begin = None if everything else known.pushed
    new = list(islice(source.since(begin), _MOST_GUESSED))
    guess = Guess([entry.place.digest for entry in new], known.pushed_into)
    promised = known.site and wanted is None and not everything and _go_along(new)
    if promised:
        peer.promise(_small(source, new))
    reached, about = _progress(site, remote, peer, guess)
    done, last = Exchanged(remote.url), None
    if wanted is not None:
        done = _send_part(source, peer, wanted, done, on_progress)
    else:
        begin = None if everything else reached.pushed
        if len(new) < _MOST_GUESSED and (everything or begin == known.pushed):
            sent = _send_entries(  # what was asked for before is all
                source, peer, new, n_known=len(new), done=done, on_progress=on_progress
            )
            last = sent or begin
        else:
            done, last = _send(source, peer, begin, done, on_progress)
    if done.n_packs or about.n_waiting or promised:  # a push that was cut may have left some there
        done.taken = peer.merge()
        done.refuse(done.taken.refused)
        about = peer.about()
    if last is not None and not done.left_out:
        n_signed = 0 if everything else min(reached.signed, signatures.count(site))
        n_signed = _send_signatures(source, peer, n_signed, done)
        into = about.newest
        remotes.remember(
            site,
            remote,
            msgspec.structs.replace(reached, pushed=last, pushed_into=into, signed=n_signed),
        )
    return done


def standing(site: Site, remote: remotes.Remote, peer: Peer) -> Standing:
    """Return how a site stands to another; no pack moves."""
    reached, _ = _progress(site, remote, peer)
    return Standing(
        ahead=_count(SitePeer(site), peer, reached.pushed),
        behind=_count(peer, SitePeer(site), reached.fetched),
    )


def _count(source: Peer, target: Peer, begin: Place | None) -> int:
    """Count the packs of a source since a place that the target lacks."""
    return sum(
        len(target.lacks([entry.place.digest for entry in page]))
        for page in _pages(source.since(begin), MOST_DIGESTS)
    )


def _progress(
    site: Site, remote: remotes.Remote, peer: Peer, guess: Guess | None = None
) -> tuple[remotes.Progress, About]:
    """Return how far the exchange came, as far as that still counts, and who the other is."""
    about = peer.about(guess)
    check_protocol(remote.url, about)
    if about.site == site.id:
        raise RemoteError(
            f"{remote.url} is this very site ({site.id}), or a copy of its directory;"
            " nothing was moved. Make a copy of a site with: cmfd clone"
        )
    reached = remotes.progress(site, remote)
    if reached.site != about.site:
        return remotes.Progress(about.site), about
    if about.newest != reached.pushed_into and not _still_has(peer, reached.pushed_into):
        reached = msgspec.structs.replace(reached, pushed=None, pushed_into=None, signed=0)
    if not _still_has(SitePeer(site), reached.fetched_into):
        reached = msgspec.structs.replace(reached, fetched=None, fetched_into=None, signed_there=0)
    return reached, about


def _still_has(peer: Peer, place: Place | None) -> bool:
    return place is None or peer.count_since(place) is not None


def _send(
    source: Peer,
    target: Peer,
    begin: Place | None,
    done: Exchanged,
    on_progress: Progress | None,
) -> tuple[Exchanged, Place | None]:
    """Send what the target lacks; also return the place in the source up to which it has all."""
    n_known = source.count_since(begin)
    if n_known is None:
        n_known = source.about().n_packs
    last = _send_entries(
        source, target, source.since(begin), n_known=n_known, done=done, on_progress=on_progress
    )
    return done, last or begin


def _send_part(
    source: Peer, target: Peer, wanted: Wanted, done: Exchanged, on_progress: Progress | None
) -> Exchanged:
    part = source.part(wanted)
    _send_entries(
        source, target, part.entries, n_known=len(part.entries), done=done, on_progress=on_progress
    )
    done.part = msgspec.structs.replace(part, entries=[])
    return done


def _send_entries(  # noqa: PLR0913 - from where, to where, what, and who is told
    source: Peer,
    target: Peer,
    entries: Iterable[Entry],
    *,
    n_known: int,
    done: Exchanged,
    on_progress: Progress | None,
) -> Place | None:
    """Send what the target lacks of some packs; return the place of the last."""
    last = None
    n_looked_at = 0
    for page in _pages(entries, MOST_DIGESTS):
        lacking = set(target.lacks([entry.place.digest for entry in page]))
        source.announce([entry for entry in page if entry.place.digest in lacking])
        for entry in page:
            if entry.place.digest in lacking:
                _send_one(source, target, entry, done)
            n_looked_at += 1
            if on_progress is not None:
                on_progress(n_looked_at, max(n_known, n_looked_at))
        last = page[-1].place
    return last


def _send_signatures(source: Peer, target: Peer, since: int, done: Exchanged) -> int:
    """Send the signatures that came since so many, of other packs than these; return how many."""
    late = (one for one in source.signed_since(since))
    for page in _pages(late, MOST_SIGNATURES):
        if new := [one for one in page if one.digest not in done.sent]:
            target.take_signatures(new)
        since = page[-1].number
    return since


def _send_one(source: Peer, target: Peer, entry: Entry, done: Exchanged) -> None:
    digest = entry.place.digest
    try:
        target.write(
            digest,
            entry.size_bytes,
            lambda offset: source.read(digest, offset),
            signature=source.vouch(entry),
        )
    except (NotFoundError, PackError) as error:  # of this pack alone
        done.left_out.append((digest, str(error)))
        return
    done.n_packs += 1
    done.n_bytes += entry.size_bytes
    done.sent[digest] = entry.size_bytes


def _go_along(new: Sequence[Entry]) -> bool:
    """Say whether packs are so few and small that they may go along, maybe for nothing."""
    n_bytes = sum(entry.size_bytes for entry in new)
    return 0 < len(new) <= MOST_TOGETHER and n_bytes <= _PROMISED_BYTES


def _small(source: SitePeer, new: Iterable[Entry]) -> Iterator[Sent]:
    from cmfd.sync.resources import Sent  # noqa: PLC0415 - only for who is far away

    for entry in new:
        # What cannot be read is told when it is sent by itself.
        with suppress(NotFoundError, StoreError):
            data = b"".join(source.read(entry.place.digest, 0))
            if len(data) == entry.size_bytes:
                yield Sent(entry.place.digest, data, source.vouch(entry))


def _pages(entries: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(entries)
    while page := list(islice(iterator, size)):
        yield page
