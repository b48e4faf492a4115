"""The layout of a journal, from the structs of `cmfd.wire.journal` and the golden journal."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from cmfd.wire import journal as form
from docs.generators.markdown import table

GOLDEN = Path(__file__).parents[2] / "tests" / "house" / "golden" / "v1" / "journal.cmfj"

_TYPES = {"H": "u16", "I": "u32", "q": "i64", "d": "f64"}
_FIELD = re.compile(r"(\d*)([sHIqd])")

FILE_HEADER = (
    ("magic", f"the ASCII text `{form.FILE_MAGIC.decode()}`"),
    ("version", f"of this format: {form.VERSION}"),
    ("header bytes", f"room of this header: {form.FILE_HEADER_BYTES}; the first block follows"),
    (
        "block bytes",
        f"size of every block, a multiple of 4096 up to 64 MiB; {form.BLOCK_BYTES} is usual",
    ),
    ("instance", "16 bytes that name this process for ever: a new UUIDv7"),
    ("boot id", "of the kernel (`/proc/sys/kernel/random/boot_id`), or zeros"),
    ("uid", "user id: that of the file's owner"),
    ("pid", "process id"),
    ("created", "when, in UTC nanoseconds"),
    ("crc", "CRC-32 of the bytes before it"),
)
BLOCK_HEADER = (
    ("magic", f"the ASCII text `{form.BLOCK_MAGIC.decode()}`"),
    ("kind", f"{form.EVENTS} events, {form.POINTS} points, {form.ROWS} rows"),
    ("number", "from 1, never used twice in a journal: the *mark* of the block's records"),
    ("record bytes", "points: 32; rows: 24 + 8 n; events: 1"),
    ("group", "rows: `id` of their `group` record; else 0"),
    ("crc", "CRC-32 of the bytes before it"),
)
POINT = (
    ("time", "UTC nanoseconds"),
    ("step", "iteration, epoch or the like"),
    ("value", "the value; in a series of kind `int`, an i64"),
    ("series", f"`id` of a `series` record; {form.VOID_SERIES}: this slot holds nothing"),
    ("mark", "the block's number; **stored last**"),
)
ROW = (
    ("time", "UTC nanoseconds"),
    ("step", "iteration, epoch or the like"),
    ("value 1", "of the group's first series"),
    ("value 2", "of the second, and so on: n values"),
    ("valid", "1; or 0: this slot holds nothing"),
    ("mark", "the block's number; **stored last**"),
)
EVENT = (
    ("length", "bytes of the payload, without padding, from 1; **stored last**"),
    ("crc", "CRC-32 of the payload"),
)


def file_header() -> str:
    """Return the layout of the file header."""
    return _layout(form.FILE_HEADER.format + "I", FILE_HEADER)


def block_header() -> str:
    """Return the layout of a block header."""
    return _layout(form.BLOCK_HEADER.format + "I", BLOCK_HEADER)


def point() -> str:
    """Return the layout of a point."""
    return _layout(form.POINT.format, POINT)


def row() -> str:
    """Return the layout of a row, here of two values."""
    return _layout(form.row_struct(2).format, ROW)


def event() -> str:
    """Return the layout of an event record's head."""
    return _layout(form.EVENT_HEADER.format, EVENT)


def limits() -> str:
    """Return the numbers of the format."""
    return table(
        ("Number", "Value"),
        (
            ("room of the file header", f"{form.FILE_HEADER_BYTES} bytes"),
            ("room of a block header", f"{form.BLOCK_HEADER_BYTES} bytes"),
            ("usual size of a block", f"{form.BLOCK_BYTES} bytes"),
            ("points in such a block", str(_slots(form.POINT.size))),
            ("rows of 20 values in such a block", str(_slots(form.row_struct(20).size))),
            ("largest payload of an event record", f"{form.MAX_EVENT_BYTES} bytes"),
            ("CRC-32", "polynomial 0xEDB88320 reflected, start and end inverted: zlib's `crc32`"),
        ),
    )


def example() -> str:
    """Return the golden journal, its bytes annotated."""
    data = GOLDEN.read_bytes()
    head = form.parse_file_header(data, GOLDEN.name)
    lines = ["# the file header"]
    lines += _annotated(data, 0, form.FILE_HEADER.format + "I", FILE_HEADER)
    for at in range(form.FILE_HEADER_BYTES, len(data), head.block_bytes):
        lines += _block(data, at)
    return "```text\n" + "\n".join(lines) + "\n```"


def _slots(record_bytes: int) -> int:
    return (form.BLOCK_BYTES - form.BLOCK_HEADER_BYTES) // record_bytes


def _fields(layout: str) -> list[tuple[int, str, str]]:
    """Return offset, type and format of each field of a layout without gaps."""
    found, at = [], 0
    for count, letter in _FIELD.findall(layout):
        for item in [f"{count}s"] if letter == "s" else [letter] * int(count or 1):
            found.append((at, _TYPES.get(item, f"{count} bytes"), item))
            at += struct.calcsize(f"<{item}")
    return found


def _layout(layout: str, meanings: tuple[tuple[str, str], ...]) -> str:
    rows = [
        (str(at), kind, name, said)
        for (at, kind, _), (name, said) in zip(_fields(layout), meanings, strict=True)
    ]
    return table(("Offset", "Type", "Field", "Meaning"), rows)


def _block(data: bytes, at: int) -> list[str]:
    magic, kind, number, record_bytes, _ = form.BLOCK_HEADER.unpack_from(data, at)
    if magic != form.BLOCK_MAGIC:
        return []
    name = {form.EVENTS: "events", form.POINTS: "points", form.ROWS: "rows"}[kind]
    lines = ["", f"# block {number}: {name}"]
    lines += _annotated(data, at, form.BLOCK_HEADER.format + "I", BLOCK_HEADER)
    body = at + form.BLOCK_HEADER_BYTES
    if kind == form.EVENTS:
        return lines + _first_event(data, body)
    layout, meanings = (form.POINT, POINT) if kind == form.POINTS else (form.row_struct(2), ROW)
    for slot in range(2):
        lines += ["", f"# slot {slot}"]
        lines += _annotated(data, body + slot * record_bytes, layout.format, meanings)
    return lines


def _first_event(data: bytes, at: int) -> list[str]:
    length, _ = form.EVENT_HEADER.unpack_from(data, at)
    start = at + form.EVENT_HEADER.size
    end = at + form.event_bytes(length)
    lines = ["", "# its first record"]
    lines += _annotated(data, at, form.EVENT_HEADER.format, EVENT)
    for offset in range(start, end, 16):
        piece = data[offset : min(offset + 16, end)]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"{offset:6}  {piece.hex(' '):<48} {text}")
    return lines


def _annotated(
    data: bytes, at: int, layout: str, meanings: tuple[tuple[str, str], ...]
) -> list[str]:
    lines = []
    for (offset, _, item), (name, _) in zip(_fields(layout), meanings, strict=True):
        (value,) = struct.unpack_from(f"<{item}", data, at + offset)
        raw = data[at + offset : at + offset + struct.calcsize(f"<{item}")]
        said = "" if isinstance(value, bytes) else f" {value}"
        lines.append(f"{at + offset:6}  {raw.hex(' '):<48} {name}{said}")
    return lines


SECTIONS = {
    "file_header": file_header,
    "block_header": block_header,
    "point": point,
    "row": row,
    "event": event,
    "limits": limits,
    "example": example,
}
