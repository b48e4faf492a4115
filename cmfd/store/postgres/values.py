"""
Values as PostgreSQL holds them, and back.

Its texts have neither U+0000 nor bytes that are no UTF-8, and its columns are of one type each; a
pack may have any text, and SQLite's columns of parameters and facts have numbers and texts. So in
texts U+0001 begins what cannot be said otherwise:

- U+0001 U+0001 is U+0000, and U+0001 U+0002 is U+0001: what is less stays less;
- U+0001 and a character from U+0100 on is a byte that is no UTF-8;
- U+0001 ``#``, 24 hexadecimal digits and a number is that number. Digits are ordered as numbers
  are, so that these sort among each other, and before texts, as in SQLite.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal

from cmfd.errors import PackError

_UNHOLDABLE = re.compile("[\x00\x01\udc80-\udcff]")
_HELD = re.compile("\x01([\x01\x02\u0180-\u01ff])")
HELD = "\x01"
"""Begins what cannot be said otherwise."""

NUMBER = f"{HELD}#"
"""Begins a number among texts."""

_DIGITS = 24
_FLOAT, _INT = struct.Struct(">d"), struct.Struct(">q")
_SIGN = 1 << 63
_EXACT = 1 << 31


def decoded(data: bytes) -> str:
    """Return a text of a pack, with surrogates for bytes that are no UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def held(value: str) -> str:
    """Return a text as PostgreSQL can hold it."""
    return _UNHOLDABLE.sub(_hold, value) if _UNHOLDABLE.search(value) else value


def _hold(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\x01{chr(code + 1 if code < 2 else 0x100 + code - 0xDC00)}"


def told(value: str) -> str | int | float:
    """Return what a held text stands for; with surrogates for bytes that are no UTF-8."""
    if HELD not in value:
        return value
    if value.startswith(NUMBER):
        said = value[len(NUMBER) + _DIGITS :]
        return int(said) if said.lstrip("-").isdigit() else float(said)
    return _HELD.sub(_tell, value)


def _tell(found: re.Match[str]) -> str:
    code = ord(found[1])
    return chr(code - 1 if code < 3 else 0xDC00 + code - 0x100)


def any_held(value: object) -> str | None:
    """
    Return a parameter's or fact's value as a text.

    Raises
    ------
    PackError
        It is of a type that no such value has.
    """
    if isinstance(value, str):
        return held(value)
    if isinstance(value, (int, float)):
        return f"{NUMBER}{_sortable(value)}{value + 0!r}"  # zero has two signs, and is one value
    if value is None:
        return None
    raise not_of_its_type(value)


def _sortable(number: float) -> str:
    near = float(number)
    # An integer that no float is, by how far it is off.
    off = number - int(near) if isinstance(number, int) else 0
    (bits,) = _INT.unpack(_FLOAT.pack(near + 0.0))
    return f"{(~bits & (1 << 64) - 1) if bits < 0 else bits | _SIGN:016x}{off + _EXACT:08x}"


def numeric_held(value: object) -> str | None:
    """
    Return a number as a numeric that tells integers and floats apart: only these have a fraction.

    Raises
    ------
    PackError
        It is no number.
    """
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        if "e" in text:
            text = format(Decimal(text), "f")
        return text if "." in text or "inf" in text else f"{text}.0"
    if value is None:
        return None
    raise not_of_its_type(value)


def numeric_told(text: str) -> float:
    """Return a numeric as an integer, or as a float if it has a fraction."""
    return int(text) if text.lstrip("-").isdigit() else float(text)


def not_of_its_type(value: object) -> PackError:
    """Return the refusal of a row that has such a value."""
    return PackError(f"foreign: a row is not of its table's types: {str(value)[:80]!r}")
