"""
What sites say to each other over HTTP: the verbs of `cmfd.sync.peer` as resources.

Bodies are JSON of these types and of those of the verbs; a pack's bytes travel as they are. A
question that is asked again is answered the same way, so that a client whose connection was cut
may ask again whatever it asked.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from cmfd.sync.peer import About, Entry, Place, Taken

PREFIX = "/v1"
"""Begins every address but those of health, figures and the document."""

SIGNATURE_HEADER = "CMFD-Signature"
"""Of a pack that is sent, in base64."""

MOST_QUESTION_BYTES = 1 << 20
"""A body that is a question is not longer."""

MOST_BATCH_BYTES = 4 << 20
"""Nor is one with packs; base64 makes them longer by a third."""

SMALL_BYTES = 1 << 20
"""A pack up to this size is sent among others, in one body."""

BATCH_BYTES = MOST_BATCH_BYTES // 2
"""How many bytes of them go together; base64 makes them longer."""

_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

MOST_PAGE = 1000
"""How many packs one page of a list has."""


class Greeting(msgspec.Struct, frozen=True):
    """
    Who a site is, and what was guessed.

    Attributes
    ----------
    about : About
        Who it is.
    lacks : list of str
        Which of the packs it lacks.
    count : int or None
        How many packs came after the place; None if it is none there.
    """

    about: About
    lacks: list[str]
    count: int | None


class After(msgspec.Struct, frozen=True):
    """Which packs, at most so many, came after this place?"""  # noqa: D400 - a question

    place: Place | None = None
    limit: int = MOST_PAGE


class AfterSigned(msgspec.Struct, frozen=True):
    """Which signatures came after so many?"""  # noqa: D400 - a question

    number: int = 0


class Page(msgspec.Struct, frozen=True):
    """Some packs of a site in their order, and whether more follow."""

    entries: list[Entry]
    more: bool


class Choice(msgspec.Struct, frozen=True):
    """Which small packs are wanted, in this order, as many as go into an answer."""

    digests: Annotated[list[str], msgspec.Meta(max_length=MOST_PAGE)]


class Sent(msgspec.Struct, frozen=True):
    """A small pack: its sha256, its bytes, and its signature, if it has one."""

    digest: str
    data: Annotated[bytes, msgspec.Meta(extra_json_schema={"pattern": _BASE64})]
    signature: str = ""


class Received(msgspec.Struct, frozen=True):
    """
    What became of packs that were sent, and of a merge, if one was asked for.

    Attributes
    ----------
    refused : dict of str to str
        By digest, why a pack was not taken.
    about : About
        Who the site is, after that.
    taken : Taken or None
        What the merge made of what waited.
    lacked : list of str
        Which of them the site lacked.
    count : int or None
        How many packs had come after the place that was asked about; None if it is none there.
    """

    refused: dict[str, str]
    about: About
    taken: Taken | None = None
    lacked: list[str] = []
    count: int | None = None


PLACE = "^[0-9]{1,18}-[0-9a-f]{64}-[0-9]{1,19}$"
"""How a place is written in an address: number, digest, time."""


def place_text(place: Place) -> str:
    """Return a place as it is written in an address."""
    return f"{place.number}-{place.digest}-{place.merged_ns}"


def place_of(text: str) -> Place:
    """
    Return the place that is written in an address.

    Raises
    ------
    ValueError
        It is none.
    """
    if not re.fullmatch(PLACE, text):
        raise ValueError("a place is NUMBER-DIGEST-NANOSECONDS")
    number, digest, merged_ns = text.split("-")
    return Place(int(number), digest, int(merged_ns))


class Incoming(msgspec.Struct, frozen=True):
    """How much of a pack came in a try that was cut: the next one goes on from there."""

    offset: int


class Health(msgspec.Struct, frozen=True):
    """That a server can answer, and its release."""

    status: str
    version: str


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Why something was not done.

    Attributes
    ----------
    error : str
        The kind of error.
    reason : str
        What happened, what was kept, what to do next.
    offset : int or None
        Of a pack that was sent from the wrong place: from where it must come.
    """

    error: str
    reason: str
    offset: int | None = None
