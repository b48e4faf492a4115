"""Events of OpenLineage, of any program, as they are read: what is sound of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID  # noqa: TC003 - msgspec reads annotations

import msgspec

from cmfd.errors import FormatError

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TIMES = range(1 << 63)

Facets = dict[str, Any]
_Form = TypeVar("_Form", bound=msgspec.Struct)


class Dataset(msgspec.Struct):
    """What something read or wrote."""

    namespace: str
    name: str
    facets: Facets = {}


class Job(msgspec.Struct):
    """What recurs."""

    namespace: str
    name: str
    facets: Facets = {}


class Run(msgspec.Struct):
    """One time that a job ran."""

    runId: UUID  # noqa: N815 - OpenLineage's name
    facets: Facets = {}


class _Any(msgspec.Struct):
    """Any event; those of datasets and jobs have no run."""

    run: msgspec.Raw = msgspec.Raw()


class Event(msgspec.Struct):
    """A run event of https://openlineage.io/spec/2-0-2/OpenLineage.json, as far as it is used."""

    eventTime: datetime  # noqa: N815 - OpenLineage's name
    run: Run
    job: Job
    eventType: Literal[  # noqa: N815 - OpenLineage's name
        "START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"
    ] = "OTHER"
    inputs: list[Dataset] = []
    outputs: list[Dataset] = []

    @property
    def at_ns(self) -> int:
        """When it was, in UTC."""
        at = (
            self.eventTime if self.eventTime.tzinfo else self.eventTime.replace(tzinfo=timezone.utc)
        )
        since = at - _EPOCH
        return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


class _Own(msgspec.Struct):
    """Parameters, in cmfd's facet."""

    parameters: dict[str, list[Any]]


class _Parameter(msgspec.Struct):
    key: str
    value: Any = None


class _Standard(msgspec.Struct):
    """Parameters, in the standard facet."""

    parameters: list[_Parameter] = []


class Parameters(NamedTuple):
    """What is said of a run's parameters: all values of each."""

    values: dict[str, list[Any]]
    problems: list[str]
    """Facets that are not of their form, and why: nothing was taken from them."""


class Found(NamedTuple):
    """What a file holds."""

    events: list[Event]
    problems: list[str]
    """What of it is no event, or a facet of none; a sentence each."""


def read(content: bytes, name: str) -> Found:
    """
    Read events, a line of JSON each, or all of them in one JSON array; or one, over many lines.

    Parameters
    ----------
    content : bytes
        Of the file. Events of datasets and jobs without a run are passed over.
    name : str
        What to call it in errors.

    Raises
    ------
    FormatError
        There is no event in it, and what there is, is none; or an array is cut off.
    """
    found = Found([], [])
    for number, piece in enumerate(_pieces(content, name), 1):
        if not piece.strip():
            continue
        try:
            if not msgspec.json.decode(piece, type=_Any).run:
                continue
            event = decode(piece)
        except (msgspec.DecodeError, RecursionError, OverflowError) as error:
            found.problems.append(f"event {number} is none of OpenLineage's: {error}")
            continue
        found.events.append(event)
        problems = parameters(event).problems
        found.problems.extend(f"event {number}, its facet {each}" for each in problems)
    if found.problems and not found.events:
        raise FormatError(
            f"{name}: {found.problems[0]}; nothing of it was taken in, since nothing else is in it."
        )
    return found


def _pieces(content: bytes, name: str) -> list[bytes]:
    if content.lstrip()[:1] != b"[":
        return [content] if _is_one(content) else content.splitlines()
    try:
        return [bytes(piece) for piece in msgspec.json.decode(content, type=list[msgspec.Raw])]
    except msgspec.DecodeError as error:
        raise FormatError(f"{name}: {error}; nothing of it was taken in.") from error


def _is_one(content: bytes) -> bool:
    """Tell whether all of it is one piece of JSON; of lines, only the first is looked at."""
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def decode(text: bytes | str) -> Event:
    """
    Return an event.

    Raises
    ------
    msgspec.DecodeError, RecursionError
        It is none.
    OverflowError
        Its time cannot be stored.
    """
    event = msgspec.json.decode(text, type=Event)
    if event.at_ns not in _TIMES:
        raise OverflowError(f"its time {event.eventTime} is of no year from 1970 to 2261")
    return event


def parameters(event: Event) -> Parameters:
    """Return parameters, of cmfd's facet or of the standard one, as far as these are sound."""
    found = Parameters({}, [])
    standard = _facet(event, "executionParameters", _Standard, found.problems)
    if standard is not None:
        found.values.update((each.key, [each.value]) for each in standard.parameters)
    own = _facet(event, "cmfd_hyperparameters", _Own, found.problems)
    if own is not None:
        found.values.update(own.parameters)
    return found


def _facet(event: Event, name: str, form: type[_Form], problems: list[str]) -> _Form | None:
    if name not in event.run.facets:
        return None
    try:
        return msgspec.convert(event.run.facets[name], form)
    except msgspec.ValidationError as error:
        problems.append(f"{name}: {error}")
        return None
