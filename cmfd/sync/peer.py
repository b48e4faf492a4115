"""
What one site asks of another to exchange packs with it.

Packs have the name of their content and never change, so that two sites only have to find out
which of them the other lacks. Each site numbers its packs as it merges them; a `Place` in that
order, kept from the last exchange, tells which came since, however many there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from cmfd.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from cmfd.sync.resources import Sent

    Blocks = Generator[bytes, None, None]
    FromOffset = Callable[[int], Blocks]
    """Gives the bytes of a pack from an offset."""

PROTOCOL_VERSION = 2
"""Of what is said between sites; another is refused."""

BLOCK_BYTES = 1 << 18
"""How much of a pack is sent at once."""

MOST_DIGESTS = 2000
"""How many packs one question is about."""

MOST_TOGETHER = 50
"""How many small packs are sent before the answers are read."""

MOST_SIGNATURES = 100
"""How many signatures are sent at once."""

MOST_PACK_BYTES = 1 << 33
"""A pack that claims to be larger is not taken."""


class Place(msgspec.Struct, frozen=True):
    """
    A pack's place in the order in which a site merged its packs.

    Attributes
    ----------
    number : int
        Its number there.
    digest : str
        The sha256 of the pack at that place.
    merged_ns : int
        When it was merged. All three must be as they were: an index that was made anew has another
        order, and a place in the old one says nothing.
    """

    number: int
    digest: str
    merged_ns: int


class Entry(msgspec.Struct, frozen=True):
    """A pack of a site: its place, its size, and its signature, if it has one."""

    place: Place
    size_bytes: int
    signature: str = ""


class About(msgspec.Struct, frozen=True):
    """
    What a site says of itself.

    Attributes
    ----------
    site : str
        Its id.
    protocol : int
        What it speaks.
    n_packs : int
        How many packs it has merged.
    n_waiting : int
        How many more wait there for a merge.
    newest : Place or None
        Of the pack that it merged last.
    n_signed : int
        How many signatures it has.
    """

    site: str
    protocol: int
    n_packs: int
    n_waiting: int = 0
    newest: Place | None = None
    n_signed: int = 0


class Signed(msgspec.Struct, frozen=True):
    """A pack's signature, and which of the signatures of a site it is, in the order they came."""

    number: int
    digest: str
    signature: str


class Taken(msgspec.Struct, frozen=True):
    """
    What a site did with the packs that it was given.

    Attributes
    ----------
    absorbed : int
        How many it merged.
    waiting : int
        How many wait there for the next merge.
    refused : dict of str to str
        By digest, why it cannot take a pack; it keeps it aside.
    busy_holder : str
        Who was merging there, if somebody was: they take the packs, too.
    """

    absorbed: int
    waiting: int
    refused: dict[str, str]
    busy_holder: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """
    A part of a site: runs, and what these came from.

    Attributes
    ----------
    where : str
        A filter over executions, as for `cmfd search`; empty: all.
    depth : int
        How many steps up from them; -1: all.
    """

    where: str
    depth: int


class Part(msgspec.Struct, frozen=True):
    """
    The packs of a part of a site.

    Attributes
    ----------
    entries : list of Entry
        In the order of the site.
    n_runs : int
        How many runs were chosen.
    n_ancestors : int
        How many more are in it, that these came from.
    n_left_out : int
        How many are one step further up, and not in it.
    """

    entries: list[Entry]
    n_runs: int
    n_ancestors: int
    n_left_out: int


class Guess(msgspec.Struct, frozen=True):
    """
    What will be asked next, most likely: who is far away answers it along with the first question.

    Attributes
    ----------
    digests : list of str
        Which of these packs, at most `MOST_DIGESTS`, does it lack?
    place : Place or None
        How many packs came after this place?
    """

    digests: list[str] = []
    place: Place | None = None


class Peer(Protocol):
    """A site that packs are exchanged with, wherever it is."""

    def about(self, guess: Guess | None = None) -> About:
        """Say who it is; what will be asked next may be of use to it."""

    def count_since(self, place: Place | None) -> int | None:
        """Count the packs that came after a place; None if the order is another by now."""

    def since(self, place: Place | None) -> Iterator[Entry]:
        """Yield its packs in their order: those after a place, all where that is no place of it."""

    def lacks(self, digests: Sequence[str]) -> list[str]:
        """Return which of at most `MOST_DIGESTS` packs it neither has nor waits to merge."""

    def part(self, wanted: Wanted) -> Part:
        """
        Return the packs of a part of it.

        Raises
        ------
        FilterError
            It cannot be understood which.
        """

    def vouch(self, entry: Entry) -> str:
        """Return the signature that a pack of it is sent with."""

    def announce(self, entries: Sequence[Entry]) -> None:
        """Be told which packs of it will be read next, in which order."""

    def promise(self, packs: Iterable[Sent]) -> None:
        """Be handed small packs that it most likely lacks, at most `MOST_TOGETHER`, if need be."""

    def read(self, digest: str, offset: int) -> Blocks:
        """
        Yield the bytes of a pack from an offset; who wants no more of them closes it.

        Raises
        ------
        NotFoundError
            It has none of that name, or no longer.
        """

    def write(
        self, digest: str, size_bytes: int, blocks: FromOffset, *, signature: str = ""
    ) -> None:
        """
        Take a pack into the inbox; what came of an earlier try that was cut is not asked for again.

        Raises
        ------
        PackError
            What came is not what the digest says, or is not signed as it must be; it is thrown
            away.
        """

    def signed_since(self, number: int) -> Iterator[Signed]:
        """Yield the signatures that it got after so many."""

    def take_signatures(self, signed: Sequence[Signed]) -> None:
        """Keep signatures of packs that it has and that have none; at most `MOST_SIGNATURES`."""

    def merge(self) -> Taken:
        """Merge what waits there."""


def check_protocol(whom: str, about: About) -> None:
    """
    Do nothing if another site speaks as this one does.

    Raises
    ------
    RemoteError
        It does not.
    """
    if about.protocol != PROTOCOL_VERSION:
        raise RemoteError(
            f"{whom} speaks version {about.protocol} of the exchange, this cmfd {PROTOCOL_VERSION};"
            " nothing was moved. Use one release of cmfd on both sides"
        )
