"""
Law 1 at the logging calls: a job never fails for its metadata.

The only place besides the daemon's loop where everything is caught: a failure
becomes one warning per kind on the ``cmfd`` logger, or an exception in strict
mode, which is for tests.
"""

from __future__ import annotations

import functools
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_said: set[str] = set()


def warn_once(kind: str, text: str) -> None:
    """Say `text` on the ``cmfd`` logger unless something of this `kind` was said before."""
    if kind in _said:
        return
    _said.add(kind)
    try:
        import logging  # noqa: PLC0415 - 10 ms, only when something is wrong

        logging.getLogger("cmfd").warning("%s", text)
    except Exception:  # noqa: BLE001 - law 1: no descriptor is left to import it, or a handler raises
        with suppress(Exception):
            sys.stderr.write(f"{text}\n")


def harmless(otherwise: Callable[..., Any] | None = None, *, called: str = "") -> Callable[[F], F]:
    """
    Make a method of an execution harmless to its caller.

    Parameters
    ----------
    otherwise : callable, optional
        Given the call's arguments, returns what the call returns when it fails.
    called : str
        What users know it as; default: its own name.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return function(self, *args, **kwargs)
            except Exception as error:
                if self.strict:
                    raise
                tell(called or function.__name__, error)
                return otherwise(*args, **kwargs) if otherwise else None

        return cast("F", guarded)

    return decorate


def tell(call: str, error: Exception) -> None:
    """Warn once that `call` failed with `error`, and that the job goes on."""
    reason = str(error)
    if reason in _said:
        return  # one cause, such as an unusable node directory, fails every call
    if reason:
        _said.add(reason)
    warn_once(
        f"{call}:{type(error).__name__}",
        f"cmfd: {call}() did nothing: {error} (the job goes on; said once)",
    )
