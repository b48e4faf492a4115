"""Hypothesis strategies: what processes may say, and the ways it may reach a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from support.journals import T0_NS, Journal

from cmfd.wire import messages as m

if TYPE_CHECKING:
    from cmfd.store.node import JournalSlice

INSTANCES = (b"\x11" * 16, b"\x22" * 16)
RUNS = (b"\xaa" * 16, b"\xbb" * 16)
EXECUTIONS = (b"\xe0" * 16, b"\xe1" * 16)
BLOCK_BYTES = 1024
GROUPS = {1: [3, 4], 2: [5, 0, 1]}
INT_SERIES = 2

_at = st.integers(1, 6)
_which = st.integers(0, 1)
_text = st.sampled_from(["", "a", "b", "é\0"])
_size = st.integers(-1, 2)
_float = st.floats(width=32)


def _event(strategy: st.SearchStrategy[m.Record]) -> st.SearchStrategy[Any]:
    return strategy.map(lambda record: lambda journal: journal.events(record))


def _parts(document: str, at_ns: int, token: int) -> Any:
    whole = m.encode(m.Environment(at_ns=at_ns, execution=EXECUTIONS[0], document=document))
    pieces = [whole[i : i + 40] for i in range(0, len(whole), 40)]
    records = [
        m.Part(at_ns=at_ns, token=token, index=i, total=len(pieces), data=piece)
        for i, piece in enumerate(pieces)
    ]
    return lambda journal: journal.events(*records)


_records = st.one_of(
    st.builds(
        lambda which, at_ns, name, site: m.RunBegin(
            at_ns=at_ns, run=RUNS[which], name=name, site=site
        ),
        _which, _at, _text, _text,
    ),
    st.builds(
        lambda which, at_ns, status, code: m.RunEnd(
            at_ns=at_ns, run=RUNS[which], status=status, exit_code=code
        ),
        _which, _at, _text, st.none() | st.integers(-1, 1),
    ),
    st.builds(
        lambda which, at_ns, stage: m.ExecutionBegin(
            at_ns=at_ns, execution=EXECUTIONS[which], run=RUNS[which], pipeline="p", stage=stage
        ),
        _which, _at, _text,
    ),
    st.builds(
        lambda which, at_ns, signal: m.ExecutionEnd(
            at_ns=at_ns, execution=EXECUTIONS[which], status="failed", signal=signal
        ),
        _which, _at, st.none() | st.integers(0, 2),
    ),
    st.builds(
        lambda which, at_ns, rank: m.ProcessBegin(
            at_ns=at_ns, execution=EXECUTIONS[which], rank=rank, host="n"
        ),
        _which, _at, st.integers(0, 3),
    ),
    st.builds(
        lambda which, at_ns, cpu, status: m.ProcessState(
            at_ns=at_ns, execution=EXECUTIONS[which], status=status, cpu_user_ns=cpu
        ),
        _which, _at, st.integers(0, 3), st.sampled_from(["running", "completed"]),
    ),
    st.builds(
        lambda which, at_ns, key, value: m.Param(
            at_ns=at_ns, execution=EXECUTIONS[which], key=key, type="float", value=value
        ),
        _which, _at, _text, _float,
    ),
    st.builds(
        lambda at_ns, key, value: m.Fact(
            at_ns=at_ns, subject=RUNS[0], key=key, type="int", value=value
        ),
        _at, _text, st.integers(-(1 << 63), (1 << 63) - 1),
    ),
)  # fmt: skip


@st.composite
def journals(draw: st.DrawFn) -> list[Journal]:
    """Return the journals of two processes that take part in two runs."""
    return [draw(_journal(instance)) for instance in INSTANCES]


@st.composite
def _journal(draw: st.DrawFn, instance: bytes) -> Journal:
    """Return a journal that names what it uses anywhere, perhaps after it, perhaps never."""
    said = [draw(st.lists(_event(_records), max_size=8))]
    named: list[m.Record] = [
        m.Series(
            at_ns=1, id=number, execution=EXECUTIONS[number % 2], name=f"m{number}",
            kind="int" if number == INT_SERIES else "float",
        )
        for number in range(1, 6)
    ]  # fmt: skip
    named += [m.Group(at_ns=1, id=number, series=series) for number, series in GROUPS.items()]
    known = draw(st.sets(st.integers(0, len(named) - 1)))
    said.append([_say(named[i]) for i in sorted(known)])
    said.append(draw(_touches()))
    said.append(draw(st.lists(_values(), max_size=60)))
    said.append([_parts(draw(_text) * 50, draw(_at), 1)] if draw(st.booleans()) else [])
    actions = draw(st.permutations([action for some in said for action in some]))
    journal = Journal(instance=instance, block_bytes=BLOCK_BYTES)
    for action in actions:
        action(journal)
    return journal


def _say(record: m.Record) -> Any:
    return lambda journal: journal.events(record)


@st.composite
def _touches(draw: st.DrawFn) -> list[Any]:
    """Return touches and what their contents were, each without the other now and then."""
    found: list[m.Record] = []
    for token in range(1, draw(st.integers(0, 4)) + 1):
        which = draw(_which)
        touch = m.Touch(
            at_ns=draw(_at), token=token, execution=EXECUTIONS[which], direction="input",
            kind="dataset", path=draw(_text), absolute="/" + draw(_text), size_bytes=draw(_size),
        )  # fmt: skip
        hashed = m.Hashed(
            at_ns=draw(_at), token=token, digest=draw(st.sampled_from(["md5:00", "md5:01.dir"])),
            strong=draw(st.sampled_from(["", "sha256:0"])), size_bytes=draw(_size),
            problem=draw(st.sampled_from(["", "", "gone"])),
        )  # fmt: skip
        found += draw(st.sampled_from([[touch], [hashed], [touch, hashed], [touch, hashed]]))
    return [_say(record) for record in found]


@st.composite
def _values(draw: st.DrawFn) -> Any:
    """Return a value or a row to be logged; void ones too."""
    step, at_ns = draw(st.integers(-2, 5)), T0_NS + draw(st.integers(0, 5))
    group = draw(st.integers(0, 2))
    if group:
        values = [draw(_float) for _ in GROUPS[group]]
        valid = draw(st.sampled_from([1, 1, 0]))
        return lambda journal: journal.row(group, values, step=step, at_ns=at_ns, valid=valid)
    series = draw(st.integers(0, 5))
    value: float = draw(st.integers(-(1 << 63), (1 << 63) - 1) if series == INT_SERIES else _float)
    return lambda journal: journal.point(series, value, step=step, at_ns=at_ns)


@st.composite
def pieces_of(draw: st.DrawFn, journal: Journal) -> list[JournalSlice]:
    """Return a journal in slices that may overlap and repeat, and leave nothing out."""
    found = []
    for block in journal.blocks:
        borders = block.borders
        for _ in range(draw(st.integers(0, 4))):
            first, end = sorted(draw(st.tuples(*[st.sampled_from(borders)] * 2)))
            if first < end:
                found.append(journal.slice(block, first, end))
    whole = [journal.slice(block, 0, block.n_units) for block in journal.blocks if block.n_units]
    return found + whole
