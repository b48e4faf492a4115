"""Golden files: what was once written is read for ever, with the same meaning."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from support import golden

from cmfd.wire import journal as form
from cmfd.wire import messages as m

RECORDS = {golden.tag_of(item): item for item in golden.RECORDS}
MESSAGES = {golden.tag_of(item): item for item in golden.MESSAGES}


@pytest.mark.parametrize("tag", RECORDS)
def test_every_record_of_protocol_1_decodes(tag: str) -> None:
    """Journals and packs of old releases hold these bytes."""
    data = (golden.GOLDEN / f"record-{tag}.bin").read_bytes()

    assert m.decode_record(data) == RECORDS[tag]


@pytest.mark.parametrize("tag", MESSAGES)
def test_every_message_of_protocol_1_decodes(tag: str) -> None:
    """A client of an old release says these bytes to a new daemon, or the reverse."""
    data = (golden.GOLDEN / f"message-{tag}.bin").read_bytes()

    assert m.decode_message(data) == MESSAGES[tag]


@pytest.mark.parametrize(
    ("union", "known"),
    [(m.AnyRecord, RECORDS), (m.AnyMessage, MESSAGES)],
    ids=["record", "message"],
)
def test_there_is_a_golden_file_for_every_type(union: Any, known: dict[str, Any]) -> None:
    """A new type needs one: add it to tests/support/golden.py and run that."""
    assert {kind.__struct_config__.tag for kind in get_args(union)} == set(known)


def test_a_field_of_the_future_does_not_disturb() -> None:
    """Newer releases may say more; what is known of it is read."""
    data = (golden.GOLDEN / "message-flush.bin").read_bytes()
    longer = bytes([data[0] + 1]) + data[1:] + b"\xa6future\xc0"  # one more key in the map

    assert m.decode_message(longer) == MESSAGES["flush"]


def test_the_golden_journal_is_whole() -> None:
    """Header, events in order, both kinds of point, rows."""
    header, blocks = form.read_journal(golden.GOLDEN / "journal.cmfj")
    events, points, rows = blocks

    assert (header.instance, header.uid, header.pid) == (golden.INSTANCE, 1000, 4242)
    assert [m.decode_record(item) for item in form.events(events.data)] == golden.JOURNAL_EVENTS
    assert rows.group == 1
    row = form.row_struct(2)
    assert [row.unpack(rows.units(i, i + 1))[1:4] for i in range(2)] == golden.ROWS
    exact = form.INT_POINT.unpack(points.units(1, 2))
    assert exact[2:4] == (golden.INT_VALUE, 2)


def test_a_hole_in_the_golden_journal_is_stepped_over() -> None:
    """A slot that a kill left without its mark hides neither what is before nor after it."""
    _, blocks = form.read_journal(golden.GOLDEN / "journal.cmfj")
    points = blocks[1]

    assert points.ranges() == [(0, 3), (4, 5)]
    found = [form.POINT.unpack(points.units(slot, slot + 1)) for slot in (0, 2, 4)]
    assert [(step, str(value)) for _, step, value, _, _ in found] == [
        (step, str(value)) for step, value in golden.POINTS
    ]
