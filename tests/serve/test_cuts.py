"""The law of an exchange with a server: cut at any bytes, any number of times, it comes through."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.exchange import add, digest, maker, to
from support.laws import examples
from support.serving import Served, cutting, served

from cmfd.errors import RemoteError
from cmfd.sync.exchange import pull, push
from cmfd.sync.resources import SMALL_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.merge.layout import Site

# Heads and answers are short, packs are long.
BYTES = st.one_of(st.integers(0, 2_000), st.integers(0, 150_000))


class Both(NamedTuple):
    """A site, another one, and the server of that."""

    here: Site
    there: Site
    server: Served


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Serve a site, and have no client wait before it comes again."""
    make = maker(tmp_path_factory.mktemp("cuts"))
    here, there = make("here"), make("there")
    hasty = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: None)
    with pytest.MonkeyPatch.context() as patch, served(there) as server:
        patch.setattr("cmfd.sync.http.time", hasty)
        yield Both(here, there, server)


_runs = itertools.count()


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cuts=st.lists(BYTES, max_size=8),
    answers=st.booleans(),
    pulls=st.booleans(),
    small_bytes=st.sampled_from([0, SMALL_BYTES]),
    promised_bytes=st.sampled_from([0, SMALL_BYTES]),
)
def test_an_exchange_that_is_cut_anywhere_comes_through(  # noqa: PLR0917 - hypothesis's
    both: Both,
    cuts: list[int],
    answers: bool,  # noqa: FBT001 - hypothesis's
    pulls: bool,  # noqa: FBT001 - as above
    small_bytes: int,
    promised_bytes: int,
) -> None:
    """In questions or answers, of packs that go together, alone or along; or with the next try."""
    act, source = (pull, both.there) if pulls else (push, both.here)
    add(source, next(_runs))
    with (
        pytest.MonkeyPatch.context() as patch,
        cutting(both.server.port, *cuts, answers=answers) as port,
    ):
        patch.setattr("cmfd.sync.far.SMALL_BYTES", small_bytes)
        patch.setattr("cmfd.sync.exchange._PROMISED_BYTES", promised_bytes)
        for _ in range(len(cuts)):
            with suppress(RemoteError), both.server.peer(through=port) as peer:
                act(both.here, to(both.there), peer)
                break
        else:
            with both.server.peer(through=port) as peer:
                act(both.here, to(both.there), peer)
    assert digest(both.here) == digest(both.there)
