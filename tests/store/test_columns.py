"""Metric values in columns: exact to the bit, small, and safe against damage."""

from __future__ import annotations

import threading
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cmfd.errors import StoreError
from cmfd.store.columns import (
    Points,
    Rows,
    decode,
    decode_points,
    decode_rows,
    encode,
    encode_points,
    encode_rows,
)

INT64 = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1), st.sampled_from([-(1 << 63), (1 << 63) - 1, -1, 0])
)
LENGTHS = st.integers(1, 600)


@st.composite
def columns(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return steps, times and bits of values: any bits at all, or somewhat regular ones."""
    n = draw(LENGTHS)
    wild = [draw(arrays(np.int64, n, elements=INT64)) for _ in range(3)]
    tame = [
        np.arange(n) * draw(st.integers(0, 5)) + draw(INT64.map(lambda x: x // 2)) for _ in range(3)
    ]
    return tuple(draw(st.sampled_from(pair)) for pair in zip(wild, tame, strict=True))


@given(columns())
def test_any_bits_come_back_as_floats(found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """NaN payloads, negative zero, infinities and denormals are kept to the bit."""
    steps, times, bits = found
    again = decode(encode(steps, times, bits.view(np.float64)))
    assert again.values.dtype == np.float64
    assert again.steps.tolist() == steps.tolist()
    assert again.times.tolist() == times.tolist()
    assert again.values.view(np.int64).tolist() == bits.tolist()


@given(columns())
def test_any_integers_come_back(found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Differences wrap where they must: the whole range of 64 bits is exact."""
    steps, times, bits = found
    again = decode(encode(steps, times, bits))
    assert again.values.dtype == np.int64
    assert again.values.tolist() == bits.tolist()


@pytest.mark.slow
@given(columns(), st.data())
def test_points_come_back_in_order(
    found: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    """A slice of several series is kept with the number of each."""
    steps, times, bits = found
    series = np.sort(
        data.draw(arrays(np.int64, len(steps), elements=st.integers(0, (1 << 32) - 1)))
    )
    again = decode_points(encode_points(Points(series, times, steps, bits)))
    for one, other in zip(again, (series, times, steps, bits), strict=True):
        assert one.tolist() == other.tolist()


@given(st.integers(1, 50), st.integers(1, 8), st.data())
def test_rows_come_back(n_rows: int, n_series: int, data: st.DataObject) -> None:
    """A row's values stay together with its time and step."""
    times, steps = (data.draw(arrays(np.int64, n_rows, elements=INT64)) for _ in range(2))
    bits = data.draw(arrays(np.int64, (n_series, n_rows), elements=INT64))
    again = decode_rows(encode_rows(Rows(times, steps, bits)))
    assert again.times.tolist() == times.tolist()
    assert again.steps.tolist() == steps.tolist()
    assert again.bits.tolist() == bits.tolist()


def _times(n: int) -> np.ndarray:
    jitter = np.random.default_rng(7).normal(0, 30_000, n)
    return 1_790_000_000_000_000_000 + np.cumsum((1e6 + jitter).astype(np.int64))


@pytest.mark.parametrize("shape", ["decay", "wave", "noise", "constant", "ramp"])
def test_a_smooth_series_takes_at_most_ten_bytes_a_value(shape: str) -> None:
    """Steps and jittery nanosecond times included, for a full journal block."""
    n = 8190
    i = np.arange(n)
    values: np.ndarray = {
        "decay": np.exp(-i / 1000),
        "wave": np.sin(i * 0.01),
        "noise": np.exp(-i / 1000) * (1 + np.random.default_rng(1).normal(0, 1e-3, n)),
        "constant": np.full(n, 0.1),
        "ramp": i * 3.5,
    }[shape]
    assert len(encode(i, _times(n), values)) <= 10 * n


def test_equal_values_are_equal_bytes() -> None:
    """A chunk made of the same values is the same chunk, whatever was encoded before."""
    n = 3000
    first = encode(np.arange(n), _times(n), np.sin(np.arange(n) * 0.1))
    encode(np.arange(5), np.arange(5), np.linspace(0, 4, 5))
    assert encode(np.arange(n), _times(n), np.sin(np.arange(n) * 0.1)) == first


@given(st.binary(max_size=200), st.integers(0, 300), st.data())
def test_damaged_bytes_are_an_error_and_nothing_else(
    noise: bytes, at: int, data: st.DataObject
) -> None:
    """Truncated, overwritten or made up: reading says so, or gives values, but never fails else."""
    good = encode(np.arange(40), np.arange(40), np.linspace(0, 4, 40))
    cut = good[: data.draw(st.integers(0, len(good)))]
    overwritten = good[:at] + noise + good[at + len(noise) :]
    for bad in (noise, cut, overwritten):
        for read in (decode, decode_points, decode_rows):
            with suppress(StoreError):
                read(bad)


def test_a_bomb_is_not_unpacked() -> None:
    """What a frame claims to hold is compared with the columns before memory is taken."""
    good = encode(np.arange(40), np.arange(40), np.linspace(0, 4, 40))
    huge = (1 << 31).to_bytes(4, "little")
    with pytest.raises(StoreError, match="damaged"):
        decode(good[:5] + huge + good[9:])


def test_a_newer_format_is_named() -> None:
    """Whoever reads it learns that a newer cmfd is needed, not that it is damaged."""
    good = encode(np.arange(4), np.arange(4), np.linspace(0, 4, 4))
    with pytest.raises(StoreError, match="format 9"):
        decode(b"\x09" + good[1:])


def test_threads_do_not_share_compressors() -> None:
    """The daemon seals in worker threads while it commits."""
    n = 4000
    data = encode(np.arange(n), _times(n), np.sin(np.arange(n) * 0.01))
    problems: list[str] = []

    def work() -> None:
        for _ in range(20):
            again = decode(data)
            if encode(*again) != data:
                problems.append("differs")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
