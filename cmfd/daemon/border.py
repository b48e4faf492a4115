"""The one place in the daemon where any exception at all is caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")


def attempt(action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Exception | None:
    """
    Do something that one bad message, journal or run must not turn into the node's end.

    Parameters
    ----------
    action : callable
        Called with the other arguments; what it returns is not used.

    Returns
    -------
    Exception or None
        What it raised. The caller counts it, says whose it was, and goes on.
    """
    try:
        action(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever bug somebody's data meets, others go on
        return error
    return None
