"""Daemons killed at random instants, again and again; every value is counted afterwards."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest
from support.bench import instance
from support.dealer import Dealer, Units, units_of
from support.journals import EXECUTION, RUN, T0_NS, Journal

from cmfd.wire.messages import ExecutionBegin, RunBegin, Series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.daemons import Daemon

    from cmfd.store.node import JournalSlice

N_CLIENTS = 3
MOST_UNITS = 64


class Sender:
    """A client that logs, sends what is not on disk, and believes only acknowledgements."""

    def __init__(self, node_dir: Path, number: int, chance: random.Random) -> None:
        self.journal = Journal(instance(number))
        self.journal.events(
            RunBegin(at_ns=T0_NS, run=RUN),
            ExecutionBegin(at_ns=T0_NS, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
            Series(at_ns=T0_NS, id=1, execution=EXECUTION, name="loss"),
        )
        self.dealer = Dealer(node_dir)
        self.n_logged = 0
        self._chance = chance
        self._sent: Units = set()
        self._credit_bytes = 0

    def log(self, n_values: int) -> None:
        """Write values to the journal."""
        for _ in range(n_values):
            self.journal.point(1, float(self.n_logged), step=self.n_logged)
            self.n_logged += 1

    def connect(self) -> None:
        """Introduce oneself: what was acknowledged must still be there."""
        believed = set(self.dealer.acked)
        welcome = self.dealer.hello(self.journal.instance)
        held = {(b, unit) for b, first, end in welcome.committed for unit in range(first, end)}
        assert believed <= held, "acknowledged, and not on disk"
        self._sent = held
        self._credit_bytes = welcome.credit_bytes

    def send(self) -> None:
        """Send what is not under way, as far as the credit goes."""
        for item in self._unsent():
            if len(item.payload) > self._credit_bytes:
                return
            self._credit_bytes -= len(item.payload)
            self._sent |= units_of([item])
            self.dealer.send_slices([item])

    def _unsent(self) -> list[JournalSlice]:
        found = []
        for block in self.journal.blocks:
            borders = block.borders
            at = 0
            while at < len(borders) - 1:
                to = min(at + self._chance.randint(1, MOST_UNITS), len(borders) - 1)
                first, end = borders[at], borders[to]
                if not all((block.number, unit) in self._sent for unit in range(first, end)):
                    found.append(self.journal.slice(block, first, end))
                at = to
        return found

    @property
    def is_settled(self) -> bool:
        """Whether all of the journal is acknowledged."""
        return units_of(self.journal.slices()) <= self.dealer.acked


def kill_again_and_again(daemons: Callable[..., Daemon], n_rounds: int, seed: int) -> None:
    """Let clients send while the daemon is killed; in the end everything is there once."""
    chance = random.Random(seed)
    daemon = daemons(commit_interval_s="0.005").start()
    senders = [Sender(daemon.node_dir, number, chance) for number in range(1, N_CLIENTS + 1)]
    for _ in range(n_rounds):
        for sender in senders:
            sender.log(chance.randint(0, 400))
            sender.connect()
            sender.send()
        time.sleep(chance.random() * 0.03)  # not to wait for something, but to strike anywhere
        daemon.kill()
        for sender in senders:
            while sender.dealer.hear(0) is not None:
                pass
        daemon.start()
    for sender in senders:
        while not sender.is_settled:
            sender.connect()
            sender.send()
            sender.dealer.flush()
        sender.dealer.close()
    found = daemon.values()
    for sender in senders:
        steps = [
            step
            for (owner, _, _), values in sorted(found.items())
            for _, step, _ in values
            if owner == sender.journal.instance
        ]
        assert steps == list(range(sender.n_logged))


@pytest.mark.slow
def test_a_daemon_that_is_killed_a_few_times_loses_and_doubles_nothing(
    daemons: Callable[..., Daemon],
) -> None:
    """Law 2 and law 3, in short."""
    kill_again_and_again(daemons, n_rounds=4, seed=1)


@pytest.mark.slow
def test_a_daemon_that_is_killed_many_times_loses_and_doubles_nothing(
    daemons: Callable[..., Daemon],
) -> None:
    """Law 2 and law 3, at length."""
    kill_again_and_again(daemons, n_rounds=60, seed=2)
