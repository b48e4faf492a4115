"""Fixtures of the daemon's tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.bench import Bench
from support.daemons import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def benches() -> Iterator[Callable[..., Bench]]:
    """Make states on a test bench; every invariant is asserted at the end."""
    made: list[Bench] = []

    def make(**options: object) -> Bench:
        made.append(Bench(**options))  # type: ignore[arg-type]  # as the test says
        return made[-1]

    yield make
    for bench in made:
        bench.state.check()


@pytest.fixture
def bench(benches: Callable[..., Bench]) -> Bench:
    """Return a state on a test bench, in user mode."""
    return benches()


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """Return a directory with a short path: a socket's may have 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="cmfd-") as name:
        yield Path(name)


@pytest.fixture
def daemons(short_dir: Path) -> Iterator[Callable[..., Daemon]]:
    """Make daemons of one node directory; none is left running."""
    made: list[Daemon] = []

    def make(node_dir: Path | None = None, user: int | None = None, **settings: str) -> Daemon:
        log = short_dir / f"daemon{len(made)}.log"
        made.append(Daemon(node_dir or short_dir / "node", log=log, user=user, **settings))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def daemon(daemons: Callable[..., Daemon]) -> Daemon:
    """Start a daemon, and wait until it listens."""
    return daemons().start()
