"""What is said between two sites over a pair of pipes: questions, answers and bytes of packs."""

from __future__ import annotations

import msgspec

from cmfd.sync.peer import Place, Signed, Wanted  # noqa: TC001 - msgspec reads them


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="t"):
    """What is said between two sites."""


class AskAbout(Message, frozen=True):
    """Who are you?"""  # noqa: D400 - a question


class AskCount(Message, frozen=True):
    """How many packs came after this place?"""  # noqa: D400 - a question

    place: Place | None


class AskSince(Message, frozen=True):
    """Which packs, at most so many, came after this place?"""  # noqa: D400 - a question

    place: Place | None
    limit: int


class AskLacks(Message, frozen=True):
    """Which of these do you lack?"""  # noqa: D400 - a question

    digests: list[str]


class AskPart(Message, frozen=True):
    """Which packs are of this part? The answer is pages of them, an empty one, and the counts."""

    wanted: Wanted


class AskPack(Message, frozen=True):
    """Give me the bytes of this pack."""

    digest: str
    offset: int


class AskMany(Message, frozen=True):
    """Give me these small packs, the first of those that are there and go into an answer."""

    digests: list[str]


class Offer(Message, frozen=True):
    """Take this pack; the answer is from which offset on, and then how that went."""

    digest: str
    size_bytes: int
    signature: str = ""


class Take(Message, frozen=True):
    """Take this small pack; the answer is how that went."""

    digest: str
    data: bytes
    signature: str = ""


class AskSigned(Message, frozen=True):
    """Which signatures did you get after so many?"""  # noqa: D400 - a question

    number: int


class TakeSigned(Message, frozen=True):
    """Keep these signatures."""

    signed: list[Signed]


class AskMerge(Message, frozen=True):
    """Merge what waits."""


class Answer(Message, frozen=True):
    """What was asked for, as msgspec encodes it."""

    body: msgspec.Raw


class Block(Message, frozen=True):
    """Some bytes of a pack; none: that was all."""

    data: bytes


class Sorry(Message, frozen=True):
    """It cannot be done; the pipes can still be used."""

    kind: str
    reason: str


ANY = (
    AskAbout
    | AskCount
    | AskSince
    | AskLacks
    | AskPart
    | AskPack
    | AskMany
    | Offer
    | Take
    | AskSigned
    | TakeSigned
    | AskMerge
    | Answer
    | Block
    | Sorry
)
