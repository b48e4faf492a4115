"""
What a site far away is asked, in as few questions as may be: each takes as long as the way there.

The first question says what is likely to be asked next. Small packs go together, with the order to
merge them; where it is likely which of them are lacking, they go with the first question already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import closing
from itertools import dropwhile, islice
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import RemoteError
from cmfd.sync.peer import MOST_TOGETHER, Guess
from cmfd.sync.resources import BATCH_BYTES, MOST_PAGE, SMALL_BYTES, Received, Sent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cmfd.sync.peer import About, Entry, FromOffset, Place, Taken
    from cmfd.sync.resources import Greeting

GOES_ON = "what came over is kept, and the next exchange goes on from there"


class FarPeer(ABC):
    """
    A site far away; subclasses say how it is asked.

    Small packs that are written go there with the next `merge`, at the latest, and only then is
    told which of them were refused.

    Parameters
    ----------
    whom : str
        What it is called.
    """

    def __init__(self, whom: str) -> None:
        self.whom = whom
        self._lacks: dict[str, bool] = {}
        self._counts: dict[Place | None, int | None] = {}
        self._about: About | None = None
        self._promised: list[Sent] = []
        self._given: set[str] = set()
        self._received: Received | None = None
        self._waiting: list[Sent] = []
        self._refused: dict[str, str] = {}
        self._soon: dict[str, int] = {}
        self._come: dict[str, bytes] = {}

    @abstractmethod
    def _greet(self, guess: Guess) -> Greeting:
        """Ask who it is, and what was guessed."""

    @abstractmethod
    def _count(self, place: Place | None) -> int | None:
        """Ask how many packs came after a place."""

    @abstractmethod
    def _hand(self, sent: list[Sent], *, merge: bool, guess: Guess | None = None) -> Received:
        """Have it take packs, and answer what was guessed as it was before that."""

    @abstractmethod
    def _read_many(self, digests: list[str]) -> list[Sent]:
        """Ask for the first of some small packs, as many as go into an answer."""

    @abstractmethod
    def _write_large(
        self, digest: str, size_bytes: int, blocks: FromOffset, signature: str
    ) -> None:
        """Have it take a pack that goes alone."""

    def about(self, guess: Guess | None = None) -> About:
        """
        Say who it is.

        Parameters
        ----------
        guess : Guess, optional
            What will be asked next, most likely.
        """
        if self._about is not None:
            told, self._about = self._about, None
            return told
        guess = guess or Guess()
        if self._promised:
            return self._give(guess)
        greeting = self._greet(guess)
        self._know(guess, greeting.lacks, greeting.count)
        return greeting.about

    def _give(self, guess: Guess) -> About:
        given, self._promised = self._promised, []
        told = self._hand(given, merge=True, guess=guess)
        self._refused.update(told.refused)
        self._given = {one.digest for one in given}
        self._received = told
        self._know(guess, told.lacked, told.count)
        return told.about

    def _know(self, guess: Guess, lacks: Iterable[str], count: int | None) -> None:
        lacking = set(lacks)
        self._lacks = {digest: digest in lacking for digest in guess.digests}
        is_told = guess.place is not None or count is not None
        self._counts = {guess.place: count} if is_told else {}

    def promise(self, packs: Iterable[Sent]) -> None:
        """Be handed packs that it most likely lacks: they go along with the first question."""
        self._promised = list(packs)

    def count_since(self, place: Place | None) -> int | None:
        """Count the packs that came after a place; None if the order is another by now."""
        if place in self._counts:
            return self._counts.pop(place)
        return self._count(place)

    def lacks(self, digests: Sequence[str]) -> list[str]:
        """Return which of these packs it neither has nor waits to merge."""
        if all(digest in self._lacks for digest in digests):
            return [digest for digest in digests if self._lacks[digest]]
        return self._greet(Guess(list(digests))).lacks

    def announce(self, entries: Sequence[Entry]) -> None:
        """Be told which packs of it will be read next: small ones come together."""
        self._soon = {
            entry.place.digest: entry.size_bytes
            for entry in entries
            if entry.size_bytes <= SMALL_BYTES
        }

    def _early(self, digest: str) -> bytes:
        """Return a pack that comes with others, if it does."""
        if digest in self._soon and digest not in self._come:
            self._ask_for_many(digest)
        return self._come.pop(digest, b"")

    def _ask_for_many(self, digest: str) -> None:
        """Ask for a pack and those after it; what does not come is asked for by itself."""
        n_bytes = 0
        wanted = []
        for one in islice(dropwhile(lambda one: one != digest, self._soon), MOST_PAGE):
            n_bytes += self._soon[one]
            if n_bytes > BATCH_BYTES:
                break
            wanted.append(one)
        for one in wanted:
            del self._soon[one]
        sent = self._read_many(wanted) if len(wanted) > 1 else []
        self._come = {one.digest: one.data for one in sent}

    def write(
        self, digest: str, size_bytes: int, blocks: FromOffset, *, signature: str = ""
    ) -> None:
        """Have it take a pack; what came of an earlier try that was cut is not sent again."""
        if digest in self._given:
            return
        data = b"" if size_bytes > SMALL_BYTES else _up_to(size_bytes + 1, blocks)
        if len(data) != size_bytes:
            self._write_large(digest, size_bytes, blocks, signature)
            return
        self._waiting.append(Sent(digest, data, signature))
        n_bytes = sum(len(one.data) for one in self._waiting)
        if n_bytes > BATCH_BYTES - SMALL_BYTES or len(self._waiting) == MOST_TOGETHER:
            self._send(merge=False)

    def _send(self, *, merge: bool) -> Received:
        sent, self._waiting = self._waiting, []
        told = self._hand(sent, merge=merge)
        self._refused.update(told.refused)
        return told

    def merge(self) -> Taken:
        """Merge what waits there, and what was not yet sent."""
        told, self._received = self._received, None
        if told is None or self._waiting:
            told = self._send(merge=True)
        self._about = told.about
        if told.taken is None:
            raise RemoteError(f"{self.whom} did not merge what it was sent; {GOES_ON}")
        refused, self._refused = {**self._refused, **told.taken.refused}, {}
        return msgspec.structs.replace(told.taken, refused=refused)


def _up_to(n_bytes: int, blocks: FromOffset) -> bytes:
    """Return all bytes of a pack, or so many if it has more than was said."""
    found = bytearray()
    with closing(blocks(0)) as coming:
        while len(found) < n_bytes and (block := next(coming, b"")):
            found += block
    return bytes(found[:n_bytes])
