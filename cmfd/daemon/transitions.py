"""
The two life-cycles of the daemon, as tables.

**An instance** is a process with its journal. Its journal's lock is the truth
about it: held, it lives; free, it is dead. Everything else (a farewell, the
end of its process, a timer) is an *alarm*: a reason to go and look.

**A run** is sealed when all its instances on this node have ended, and at
checkpoints before. Its pack is published; a site that cannot take it now
leaves the run stuck until a later try.

A turn that a phase has no entry for cannot happen; if it does, the sender of
the message broke the protocol, or the daemon has a bug.
"""

from __future__ import annotations

from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class TransitionError(Exception):
    """A turn that cannot happen in a phase; nothing was changed."""


class Phase(Enum):
    """Where an instance is in its life."""

    LIVE = auto()
    """Its process runs, connected or not."""
    SUSPECTED = auto()
    """There was an alarm; its journal is to be looked at."""
    ADOPTING = auto()
    """It is dead, and its journal is being read."""
    CLOSING = auto()
    """All of its journal was taken; its end is not on disk yet."""
    CLOSED = auto()
    """Its end is on disk. Nothing is known of it any longer."""


class Turn(Enum):
    """What happens to an instance."""

    HELLO = auto()
    ALARM = auto()
    HELD = auto()
    """The lock is held."""
    FREE = auto()
    """The lock was free, and is the daemon's now."""
    DRAINED = auto()
    """There is nothing (more) to read."""
    STORED = auto()
    """Its end was committed."""


INSTANCE: Mapping[Phase, Mapping[Turn, Phase]] = MappingProxyType({
    Phase.LIVE: {
        Turn.HELLO: Phase.LIVE,  # it was cut off, or the daemon restarted
        Turn.ALARM: Phase.SUSPECTED,
    },
    Phase.SUSPECTED: {
        Turn.HELLO: Phase.SUSPECTED,  # the look at its journal will tell
        Turn.ALARM: Phase.SUSPECTED,
        Turn.HELD: Phase.LIVE,
        Turn.FREE: Phase.ADOPTING,
        Turn.DRAINED: Phase.CLOSING,  # gone, or cannot be read
    },
    Phase.ADOPTING: {
        Turn.ALARM: Phase.ADOPTING,
        Turn.FREE: Phase.ADOPTING,  # one piece after the other
        Turn.DRAINED: Phase.CLOSING,
    },
    Phase.CLOSING: {
        Turn.ALARM: Phase.CLOSING,
        Turn.STORED: Phase.CLOSED,
    },
    Phase.CLOSED: {},
})  # fmt: skip


class RunPhase(Enum):
    """Where a run is on its way to its site."""

    OPEN = auto()
    """Some of its instances live."""
    ENDED = auto()
    """None lives; stragglers have until the grace ends."""
    SEALING = auto()
    """The worker seals and publishes it."""
    STUCK = auto()
    """It could not be sealed or published; it will be tried again."""
    DONE = auto()
    """All that is known of it is published. Nothing is known of it any longer."""


class RunTurn(Enum):
    """What happens to a run."""

    SEEN_OPEN = auto()
    SEEN_ENDED = auto()
    SEEN_WHOLE = auto()
    """The store has nothing of it that is not published."""
    SEAL = auto()
    PUBLISHED = auto()
    FAILED = auto()


RUN: Mapping[RunPhase, Mapping[RunTurn, RunPhase]] = MappingProxyType({
    RunPhase.OPEN: {
        RunTurn.SEEN_OPEN: RunPhase.OPEN,
        RunTurn.SEEN_ENDED: RunPhase.ENDED,
        RunTurn.SEEN_WHOLE: RunPhase.DONE,
        RunTurn.SEAL: RunPhase.SEALING,  # a checkpoint
    },
    RunPhase.ENDED: {
        RunTurn.SEEN_OPEN: RunPhase.OPEN,
        RunTurn.SEEN_ENDED: RunPhase.ENDED,
        RunTurn.SEEN_WHOLE: RunPhase.DONE,
        RunTurn.SEAL: RunPhase.SEALING,
    },
    RunPhase.SEALING: {
        RunTurn.SEEN_OPEN: RunPhase.SEALING,
        RunTurn.SEEN_ENDED: RunPhase.SEALING,
        RunTurn.PUBLISHED: RunPhase.OPEN,  # the next look tells whether there is more
        RunTurn.FAILED: RunPhase.STUCK,
    },
    RunPhase.STUCK: {
        RunTurn.SEEN_OPEN: RunPhase.STUCK,
        RunTurn.SEEN_ENDED: RunPhase.STUCK,
        RunTurn.SEAL: RunPhase.SEALING,
    },
    RunPhase.DONE: {},
})  # fmt: skip


def turn_instance(phase: Phase, turn: Turn) -> Phase:
    """
    Return the phase that follows.

    Raises
    ------
    TransitionError
        `turn` cannot happen in `phase`.
    """
    try:
        return INSTANCE[phase][turn]
    except KeyError:
        raise TransitionError(f"an instance that is {phase.name} cannot see {turn.name}") from None


def turn_run(phase: RunPhase, turn: RunTurn) -> RunPhase:
    """
    Return the phase that follows.

    Raises
    ------
    TransitionError
        `turn` cannot happen in `phase`.
    """
    try:
        return RUN[phase][turn]
    except KeyError:
        raise TransitionError(f"a run that is {phase.name} cannot see {turn.name}") from None
