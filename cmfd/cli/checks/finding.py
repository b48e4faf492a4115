"""What a check found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from typing import Literal

    Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """
    One thing that was looked at.

    Attributes
    ----------
    check : str
        What was looked at.
    level : str
        ``ok``; ``warn``: works, but not as well as it could; ``fail``: does not work.
    what : str
        What was found.
    advice : str
        What to do; empty where nothing is to be done.
    """

    check: str
    level: Level
    what: str
    advice: str = ""
