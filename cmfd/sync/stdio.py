"""
The exchange over a pair of pipes: to `cmfd serve-stdio` on another machine, through ssh.

Each message is its length in four bytes, the most significant first, and one MessagePack map. One
question is answered at a time, in the order they come: who asks need not wait for an answer to ask
on, as long as the answers are short. The bytes of a large pack are messages of their own, up to an
empty one.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import islice
from typing import IO, TYPE_CHECKING, TypeVar

import msgspec

from cmfd.errors import CmfdError, FilterError, NotFoundError, PackError, RemoteError, StoreError
from cmfd.sync.far import GOES_ON, FarPeer
from cmfd.sync.messages import (
    ANY,
    Answer,
    AskAbout,
    AskCount,
    AskLacks,
    AskMany,
    AskMerge,
    AskPack,
    AskPart,
    AskSigned,
    AskSince,
    Block,
    Message,
    Offer,
    Sorry,
    Take,
    TakeSigned,
)
from cmfd.sync.peer import (
    BLOCK_BYTES,
    MOST_DIGESTS,
    MOST_PACK_BYTES,
    MOST_SIGNATURES,
    About,
    Entry,
    Guess,
    Part,
    Place,
    Signed,
    Taken,
    Wanted,
    check_protocol,
)
from cmfd.sync.resources import Greeting, Received, Sent
from cmfd.sync.small import read_small

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.sync.local import SitePeer
    from cmfd.sync.peer import Blocks, FromOffset

MOST_BYTES = 4 << 20
"""A message is never longer."""

_PAGE = 1000
_PAGE_BYTES = MOST_BYTES // 4
"""Signatures of a page are not longer together, but for the last."""

_LENGTH = struct.Struct(">I")


_DECODER = msgspec.msgpack.Decoder(ANY)
_ENCODER = msgspec.msgpack.Encoder()

_KINDS: dict[str, type[CmfdError]] = {
    kind.__name__: kind for kind in (NotFoundError, PackError, StoreError, FilterError)
}

T = TypeVar("T")


class Pipe:
    """
    Messages over two streams of bytes.

    Parameters
    ----------
    incoming, outgoing : file
        Binary ones.
    whom : str
        Who is at the other end, for errors.
    """

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes], whom: str) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.whom = whom

    def say(self, message: Message) -> None:
        """
        Send a message.

        Raises
        ------
        RemoteError
            Nobody reads it any more.
        """
        data = _ENCODER.encode(message)
        try:
            self._outgoing.write(_LENGTH.pack(len(data)) + data)
            self._outgoing.flush()
        except (OSError, ValueError) as error:
            raise RemoteError(
                f"the connection to {self.whom} was lost: {error}; {GOES_ON}"
            ) from error

    def hear(self) -> Message | None:
        """
        Wait for a message; None is the end, between two of them.

        Raises
        ------
        RemoteError
            What comes is no message, or ends within one.
        """
        head = self._exactly(_LENGTH.size)
        if not head:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > MOST_BYTES:
            shown = repr(
                head + self._incoming.read1(60) if hasattr(self._incoming, "read1") else head
            )
            raise RemoteError(f"{self.whom} says what is no message of cmfd: {shown}")
        data = self._exactly(length)
        try:
            message: Message = _DECODER.decode(data)
        except msgspec.MsgspecError as error:
            raise RemoteError(f"{self.whom} says what is no message of cmfd: {error}") from error
        return message

    def _exactly(self, n_bytes: int) -> bytes:
        data = self._incoming.read(n_bytes)
        if data and len(data) < n_bytes:
            raise RemoteError(f"the connection to {self.whom} was cut within a message; {GOES_ON}")
        return data


def serve(peer: SitePeer, pipe: Pipe) -> None:
    """
    Answer what another site asks, until it has no more to ask.

    Parameters
    ----------
    peer : SitePeer
        The site that is asked.
    pipe : Pipe
        To who asks. What comes from there is believed in nothing.

    Raises
    ------
    RemoteError
        The other side broke off, or does not keep to the protocol.
    """
    while (message := pipe.hear()) is not None:
        _serve_one(peer, pipe, message)


def _serve_one(peer: SitePeer, pipe: Pipe, message: Message) -> None:
    try:
        if isinstance(message, AskPack):
            for block in peer.read(message.digest, max(message.offset, 0)):
                pipe.say(Block(block))
            pipe.say(Block(b""))
        elif isinstance(message, AskPart):
            _tell_part(pipe, peer.part(message.wanted))
        else:
            _tell(pipe, _answer(peer, pipe, message))
    except RemoteError:
        raise
    except CmfdError as error:
        kind = next((name for name, one in _KINDS.items() if isinstance(error, one)), "")
        pipe.say(Sorry(kind, str(error)))


def _tell_part(pipe: Pipe, part: Part) -> None:
    entries = iter(part.entries)
    while page := page_of(entries, _PAGE):
        _tell(pipe, page)
    _tell(pipe, [])
    _tell(pipe, msgspec.structs.replace(part, entries=[]))


def page_of(entries: Iterator[Entry], limit: int) -> list[Entry]:
    """Take the next entries, as many as fit into a message."""
    page: list[Entry] = []
    n_bytes = 0
    for entry in islice(entries, limit):
        page.append(entry)
        n_bytes += len(entry.signature)
        if n_bytes > _PAGE_BYTES:
            break
    return page


def _tell(pipe: Pipe, body: object) -> None:
    pipe.say(Answer(msgspec.Raw(_ENCODER.encode(body))))


def _answer(  # noqa: C901, PLR0911 - one a question
    peer: SitePeer, pipe: Pipe, message: Message
) -> object:
    match message:
        case AskAbout():
            return peer.about()
        case AskCount(place):
            return peer.count_since(place)
        case AskSince(place, limit):
            return page_of(peer.since(place), min(max(limit, 1), _PAGE))
        case AskLacks(digests) if len(digests) <= MOST_DIGESTS:
            return peer.lacks(digests)
        case AskMany(digests) if len(digests) <= MOST_DIGESTS:
            return list(read_small(peer, digests))
        case Offer(digest, size_bytes, signature):
            peer.write(
                digest,
                size_bytes,
                lambda offset: _blocks_after(pipe, offset),
                signature=signature,
            )
            return None
        case Take(digest, data, signature):
            peer.take(digest, data, signature=signature)
            return None
        case AskSigned(number):
            return list(islice(peer.signed_since(number), MOST_SIGNATURES))
        case TakeSigned(signed):
            peer.take_signatures(signed)
            return None
        case AskMerge():
            return peer.merge()
    raise RemoteError(f"{pipe.whom} says what is no question: {type(message).__name__}")


def _blocks_after(pipe: Pipe, offset: int) -> Blocks:
    """Ask for the bytes of what was offered, and yield them."""
    _tell(pipe, offset)
    yield from _blocks(pipe)


def _blocks(pipe: Pipe) -> Blocks:
    n_left = MOST_PACK_BYTES
    try:
        while block := _next_block(pipe):
            n_left -= len(block)
            yield block
    except GeneratorExit:
        # What nobody wants is read nevertheless: the next message is behind it.
        with suppress(NotFoundError, StoreError):
            while block := _next_block(pipe):
                n_left -= len(block)
                if n_left < 0:
                    raise RemoteError(f"{pipe.whom} sends a pack without end") from None
        raise


def _next_block(pipe: Pipe) -> bytes:
    message = pipe.hear()
    if isinstance(message, Sorry):
        raise _error_of(message)
    if not isinstance(message, Block):
        raise RemoteError(f"{pipe.whom} broke off within a pack; {GOES_ON}")
    return message.data


def _guessed(guess: Guess) -> list[Message]:
    lacks = [AskLacks(guess.digests)] if guess.digests else []
    # Counting all packs of a large site takes time.
    return [*lacks, *([AskCount(guess.place)] if guess.place is not None else [])]


def _error_of(sorry: Sorry) -> CmfdError:
    return _KINDS.get(sorry.kind, RemoteError)(sorry.reason)


class StdioPeer(FarPeer):
    """
    A site at the other end of two pipes.

    Parameters
    ----------
    pipe : Pipe
        To a `cmfd serve-stdio`.
    """

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe.whom)
        self._pipe = pipe

    def _greet(self, guess: Guess) -> Greeting:
        self._say(AskAbout(), *_guessed(guess))
        about = self._hear(About)
        check_protocol(self.whom, about)  # else what else was asked need not be understood
        return Greeting(about, *self._hear_guessed(guess))

    def _hand(self, sent: list[Sent], *, merge: bool, guess: Guess | None = None) -> Received:
        asked = guess or Guess()
        self._say(AskAbout(), *_guessed(asked))
        self._say(*(Take(one.digest, one.data, one.signature) for one in sent))
        self._say(*[AskMerge()] * merge, AskAbout())
        check_protocol(self.whom, self._hear(About))
        lacked, count = self._hear_guessed(asked)
        # All answers are read before anything is raised: what is asked next has its own.
        answers = [(one.digest, self._pipe.hear()) for one in sent]
        merged = self._pipe.hear() if merge else None
        about = self._hear(About)
        refused = {}
        for digest, answer in answers:
            try:
                self._read(answer, type(None))
            except PackError as error:  # noqa: PERF203 - one of them is no reason against others
                refused[digest] = str(error)
        taken = self._read(merged, Taken) if merge else None
        return Received(refused, about, taken, lacked, count)

    def _hear_guessed(self, guess: Guess) -> tuple[list[str], int | None]:
        lacks = self._hear(list[str]) if guess.digests else []
        return lacks, self._hear_count() if guess.place is not None else None

    def _count(self, place: Place | None) -> int | None:
        self._say(AskCount(place))
        return self._hear_count()

    def _hear_count(self) -> int | None:
        return self._hear(int | None)  # type: ignore[arg-type] # a union is a type to msgspec

    def _say(self, *questions: Message) -> None:
        for question in questions:
            self._pipe.say(question)

    def since(self, place: Place | None) -> Iterator[Entry]:
        """Yield its packs in their order: those after a place, all where that is no place of it."""
        while page := self._ask(AskSince(place, _PAGE), list[Entry]):
            yield from page
            place = page[-1].place

    def part(self, wanted: Wanted) -> Part:
        """Return the packs of a part of it."""
        self._pipe.say(AskPart(wanted))
        entries: list[Entry] = []
        while page := self._hear(list[Entry]):
            entries += page
        return msgspec.structs.replace(self._hear(Part), entries=entries)

    def vouch(self, entry: Entry) -> str:
        """Return the signature that a pack of it is sent with."""
        return entry.signature

    def _read_many(self, digests: list[str]) -> list[Sent]:
        return self._ask(AskMany(digests), list[Sent])

    def read(self, digest: str, offset: int) -> Blocks:
        """Yield the bytes of a pack from an offset."""
        if data := self._early(digest)[offset:]:
            yield data
            return
        self._pipe.say(AskPack(digest, offset))
        yield from _blocks(self._pipe)

    def _write_large(
        self, digest: str, size_bytes: int, blocks: FromOffset, signature: str
    ) -> None:
        self._pipe.say(Offer(digest, size_bytes, signature))
        offset = self._hear(int)
        try:
            for block in blocks(offset):
                for begin in range(0, len(block), BLOCK_BYTES):
                    self._pipe.say(Block(block[begin : begin + BLOCK_BYTES]))
        except (NotFoundError, StoreError) as error:
            self._pipe.say(Sorry(type(error).__name__, str(error)))
        else:
            self._pipe.say(Block(b""))
        self._hear(type(None))

    def signed_since(self, number: int) -> Iterator[Signed]:
        """Yield the signatures that it got after so many."""
        while page := self._ask(AskSigned(number), list[Signed]):
            yield from page
            number = max(page[-1].number, number + 1)

    def take_signatures(self, signed: Sequence[Signed]) -> None:
        """Have it keep signatures of packs that it has."""
        self._ask(TakeSigned(list(signed)), type(None))

    def _ask(self, question: Message, kind: type[T]) -> T:
        self._pipe.say(question)
        return self._hear(kind)

    def _hear(self, kind: type[T]) -> T:
        return self._read(self._pipe.hear(), kind)

    def _read(self, message: Message | None, kind: type[T]) -> T:
        if isinstance(message, Sorry):
            raise _error_of(message)
        if not isinstance(message, Answer):
            raise RemoteError(f"{self.whom} ended without an answer; {GOES_ON}")
        try:
            return msgspec.msgpack.decode(message.body, type=kind)
        except msgspec.MsgspecError as error:
            raise RemoteError(f"{self._pipe.whom} answers what was not asked: {error}") from error
