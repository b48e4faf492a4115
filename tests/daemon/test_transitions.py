"""The life-cycle tables of the daemon."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from cmfd.daemon.transitions import (
    INSTANCE,
    RUN,
    Phase,
    RunPhase,
    RunTurn,
    TransitionError,
    Turn,
    turn_instance,
    turn_run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Cycle(NamedTuple):
    """A life-cycle: its table, how to step, its enums, where it begins and ends."""

    table: Mapping[Any, Mapping[Any, Any]]
    step: Callable[[Any, Any], Any]
    phases: Any
    turns: Any
    first: Any
    last: Any


CYCLES = [
    Cycle(INSTANCE, turn_instance, Phase, Turn, Phase.LIVE, Phase.CLOSED),
    Cycle(RUN, turn_run, RunPhase, RunTurn, RunPhase.OPEN, RunPhase.DONE),
]


@pytest.mark.parametrize("cycle", CYCLES)
def test_what_is_not_in_the_table_cannot_happen(cycle: Cycle) -> None:
    """A turn out of place is an error, and names both."""
    for phase, turn in product(cycle.phases, cycle.turns):
        if turn in cycle.table[phase]:
            assert cycle.step(phase, turn) is cycle.table[phase][turn]
        else:
            with pytest.raises(TransitionError, match=f"{phase.name} cannot see {turn.name}"):
                cycle.step(phase, turn)


@pytest.mark.parametrize("cycle", CYCLES)
def test_every_phase_is_reached_and_leads_to_the_end(cycle: Cycle) -> None:
    """No phase is dead, and nothing can get stuck in one."""
    assert set(cycle.table) == set(cycle.phases)
    assert reached(cycle.table, cycle.first) == set(cycle.phases)
    assert all(cycle.last in reached(cycle.table, phase) for phase in cycle.phases)
    assert not cycle.table[cycle.last]


def reached(table: Mapping[Any, Mapping[Any, Any]], start: Any) -> set[Any]:
    """Return every phase that can follow `start`."""
    seen = {start}
    waiting = [start]
    while waiting:
        new = set(table[waiting.pop()].values()) - seen
        seen |= new
        waiting += new
    return seen
