"""What users hand to the logging calls, turned into what is stored, without loss."""

from __future__ import annotations

from operator import index
from typing import Any

from cmfd.model import Scalar, ValueType

_INT64 = range(-(1 << 63), 1 << 63)
EXACT_DOUBLE = 1 << 53
"""Up to here every integer is a double (IEEE 754: 53 bits of significand)."""


def as_number(value: Any) -> float | int:
    """
    Return a metric's value as a float, or as an int where a float would round it.

    Raises
    ------
    TypeError
        It is no real number; nothing was logged.
    OverflowError
        It is an integer of more than 64 bits; nothing was logged.
    """
    if isinstance(value, float):
        return float(value)
    try:
        whole = index(value)
    except TypeError:
        return _as_float(value)
    if -EXACT_DOUBLE <= whole <= EXACT_DOUBLE:
        return float(whole)
    if whole not in _INT64:
        raise OverflowError(f"{whole} needs more than 64 bits; log it as a parameter instead")
    return whole


def _as_float(value: Any) -> float:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"a metric is a number, not {type(value).__name__} ({value!r:.40})")
    return float(value)


def as_step(step: Any) -> int:
    """
    Return a step as an int: integers of any type, and floats without a fraction.

    Raises
    ------
    TypeError, OverflowError
        It is no such number, or needs more than 64 bits.
    """
    whole = int(step) if isinstance(step, float) and step.is_integer() else index(step)
    if whole not in _INT64:
        raise OverflowError(f"step {whole} needs more than 64 bits")
    return whole


def legible(text: str) -> str:
    """Return a text as UTF-8 can hold it: file names' other bytes, and halves of pairs, escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def typed(value: Any) -> tuple[ValueType, Scalar]:  # noqa: PLR0911 - one a type
    """
    Return a parameter's type and its value as stored.

    Scalars of NumPy and the like become Python's; an integer of more than 64
    bits, a list or a dictionary is kept as JSON; anything else as its text.
    """
    if value is None:
        return ValueType.NULL, None
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, bool):
        return ValueType.BOOL, value
    if isinstance(value, int):
        return (ValueType.INT, int(value)) if value in _INT64 else (ValueType.JSON, str(value))
    if isinstance(value, float):
        return ValueType.FLOAT, float(value)
    if isinstance(value, str):
        return ValueType.STR, str.__str__(value)  # of an Enum, its value
    if isinstance(value, (list, tuple, dict)):
        return ValueType.JSON, as_json(value)
    return ValueType.STR, str(value)


def as_json(value: Any) -> str:
    """Return compact JSON; what JSON has no form for becomes its text."""
    import json  # noqa: PLC0415 - not needed to log numbers

    try:
        return json.dumps(value, default=_plain, separators=(",", ":"))
    except TypeError:  # keys that are neither text nor numbers
        return json.dumps(_with_text_keys(value), default=_plain, separators=(",", ":"))


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return str(value)
