"""
What the golden files hold, version by version: objects that their bytes must give for ever.

A file that exists is never written again: `python tests/support/golden.py` adds those that are
missing, for records and messages that are new.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.wire import journal as form
from cmfd.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).parents[1] / "house" / "golden" / "v1"

RUN = bytes.fromhex("0193e7c0a5007abc8123456789abcdef")
EXECUTION = bytes.fromhex("5f0c6e5e1a2b5c3d8e4f00112233445b")
INSTANCE = bytes.fromhex("0193e7c0a6007def8fedcba987654321")
EPOCH = bytes.fromhex("0193e7c09f007aaa8aaaaaaaaaaaaaaa")
SLICE = '{"of":"md5:d74c0505785f00e7c323a36ffb5103e7","rows":[[0,100]]}'
AT_NS = 1_734_000_000_123_456_789

RECORDS: list[m.AnyRecord] = [
    m.RunBegin(
        at_ns=AT_NS, run=RUN, cluster="alpha", job="4711_3", restart=1, user="ada", name="sweep",
        command="python train.py --lr 0.1", cwd="/home/ada/digits", site="/home/ada/digits/.cmfd",
    ),
    m.RunEnd(at_ns=AT_NS, run=RUN, status="failed", exit_code=None, signal=9),
    m.ExecutionBegin(
        at_ns=AT_NS, execution=EXECUTION, run=RUN, parent=EPOCH, pipeline="digits", stage="train",
        step="slurm:0",
    ),
    m.ExecutionEnd(at_ns=AT_NS, execution=EXECUTION, status="completed", exit_code=0),
    m.ProcessBegin(
        at_ns=AT_NS, execution=EXECUTION, rank=3, size=8, local_rank=1, host="n01", pid=4242,
        role="worker",
    ),
    m.ProcessState(
        at_ns=AT_NS, execution=EXECUTION, status="completed", exit_code=0,
        cpu_user_ns=1_500_000_000, cpu_system_ns=20_000_000, max_rss_bytes=123_456_789, dropped=7,
    ),
    m.Series(at_ns=AT_NS, id=2, execution=EXECUTION, name="n_seen", kind="int"),
    m.Group(at_ns=AT_NS, id=1, series=[3, 4]),
    m.Param(at_ns=AT_NS, execution=EXECUTION, key="lr", type="float", value=0.1),
    m.Touch(
        at_ns=AT_NS, token=1, execution=EXECUTION, direction="input", kind="dataset",
        path="data/digits.npz", absolute="/home/ada/digits/data/digits.npz", size_bytes=74_499,
        mtime_ns=AT_NS, properties='{"split":"train"}',
    ),
    m.Hashed(
        at_ns=AT_NS, token=1, digest="md5:d74c0505785f00e7c323a36ffb5103e7",
        strong="sha256:" + "ab" * 32, size_bytes=74_499, n_files=1,
    ),
    m.Link(
        at_ns=AT_NS, execution=EXECUTION, subject="md5:d74c0505785f00e7c323a36ffb5103e7",
        relation="contains", object="hdf5:" + "cd" * 32, name="/train/x",
    ),
    m.SliceMembers(
        at_ns=AT_NS, execution=EXECUTION, document=SLICE,
        digest="slice:" + hashlib.sha256(SLICE.encode()).hexdigest(),
    ),
    m.Environment(at_ns=AT_NS, execution=EXECUTION, document='{"python":"3.11.2"}'),
    m.Fact(at_ns=AT_NS, subject=RUN, key="tag:best", type="bool", value=True),
    m.Sealed(at_ns=AT_NS, block=2, first=0, end=5, crc32=0xDEADBEEF),
    m.Part(at_ns=AT_NS, token=1, index=0, total=2, data=b"\x8b\xa1t\xa5touch"),
]  # fmt: skip

MESSAGES: list[m.AnyMessage] = [
    m.Hello(protocol=1, instance=INSTANCE, journal=f"/var/tmp/cmfd-1000/{INSTANCE.hex()}.cmfj"),
    m.Welcome(protocol=1, epoch=EPOCH, credit_bytes=1 << 22, committed=[(1, 0, 640), (2, 0, 5)]),
    m.Slice(block=3, kind=3, record_bytes=40, group=1, first=10, end=200, crc32=0xCAFED00D),
    m.Ack(committed=[(3, 0, 200)], credit_bytes=1 << 22),
    m.Flush(token=1),
    m.Flushed(token=1),
    m.Bye(),
    m.Unknown(),
    m.Refused(reason="this journal belongs to user 1001"),
    m.StatusRequest(),
    m.StatusReply(document='{"clients":8}'),
    m.SealRequest(run=RUN, site="/home/ada/digits/.cmfd"),
    m.SealReply(packs=["/home/ada/digits/.cmfd/inbox/ab.db"], problem=""),
]

POINTS: list[tuple[int, float]] = [(0, 2.302585), (1, float("inf")), (2, -0.0)]
"""Steps and values of the golden journal's series 1; a hole comes before the last."""

INT_VALUE = 2**53 + 1
ROWS: list[tuple[int, float, float]] = [(0, 0.5, 1.5), (1, 0.25, 1.25)]
JOURNAL_EVENTS: list[m.AnyRecord] = [
    *(r for r in RECORDS if isinstance(r, (m.RunBegin, m.ExecutionBegin, m.ProcessBegin))),
    m.Series(at_ns=AT_NS, id=1, execution=EXECUTION, name="loss"),
    m.Series(at_ns=AT_NS, id=2, execution=EXECUTION, name="n_seen", kind="int"),
    m.Series(at_ns=AT_NS, id=3, execution=EXECUTION, name="train.loss"),
    m.Series(at_ns=AT_NS, id=4, execution=EXECUTION, name="test.loss"),
    m.Group(at_ns=AT_NS, id=1, series=[3, 4]),
    *(r for r in RECORDS if isinstance(r, (m.Param, m.ProcessState))),
]

BLOCK_BYTES = 4096


def tag_of(item: m.AnyRecord | m.AnyMessage) -> str:
    return str(item.__struct_config__.tag)


def files() -> Iterator[tuple[str, bytes]]:
    """Yield the name of each golden file of records and messages, and what is in it."""
    for group, items in (("record", RECORDS), ("message", MESSAGES)):
        for item in items:
            yield f"{group}-{tag_of(item)}.bin", m.encode(item)


def journal() -> bytes:
    """Return a journal with an event block, a point block with a hole, and a row block."""
    head = form.FileHeader(INSTANCE, EPOCH, 1000, 4242, AT_NS, BLOCK_BYTES).pack()
    events = b"".join(_event(m.encode(record)) for record in JOURNAL_EVENTS)
    first, second, last = (
        form.POINT.pack(AT_NS + step, step, value, 1, 2) for step, value in POINTS
    )
    exact = form.INT_POINT.pack(AT_NS, 0, INT_VALUE, 2, 2)
    hole = form.POINT.pack(AT_NS, 9, 9.0, 1, 0)
    row = form.row_struct(2)
    rows = b"".join(row.pack(AT_NS + step, step, a, b, 1, 3) for step, a, b in ROWS)
    return b"".join((
        head.ljust(form.FILE_HEADER_BYTES, b"\0"),
        _block(form.EVENTS, 1, 1, 0, events),
        _block(form.POINTS, 2, 32, 0, first + exact + second + hole + last),
        _block(form.ROWS, 3, row.size, 1, rows),
    ))  # fmt: skip


def _event(payload: bytes) -> bytes:
    record = form.EVENT_HEADER.pack(len(payload), zlib.crc32(payload)) + payload
    return record.ljust(form.event_bytes(len(payload)), b"\0")


def _block(kind: int, number: int, record_bytes: int, group: int, body: bytes) -> bytes:
    head = form.pack_block_header(kind, number, record_bytes, group)
    return (head.ljust(form.BLOCK_HEADER_BYTES, b"\0") + body).ljust(BLOCK_BYTES, b"\0")


if __name__ == "__main__":
    for name, data in [*files(), ("journal.cmfj", journal())]:
        if not (GOLDEN / name).exists():
            (GOLDEN / name).write_bytes(data)
            print(f"{GOLDEN / name}: written")
