"""Which runs' events are due, and where they go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import ConfigError, FormatError, RemoteError
from cmfd.formats.chosen import runs
from cmfd.store.connection import named
from cmfd.store.shared import whole

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from openlineage.client.event_v2 import RunEvent


_REFUSED = (400, 413, 422)
"""By which answers of HTTP an event itself is wrong: it is no use to send it again."""


class Cursor(NamedTuple):
    """The pack up to which everything was given out."""

    id: int
    digest: str


def due(db: sqlite3.Connection, where: str, cursor: Cursor | None) -> list[int]:
    """
    Return the runs of which something was merged since.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    where : str
        A filter: only runs of executions that it lets pass.
    cursor : Cursor or None
        Up to which pack is known; None: nothing is. If the index was made anew since, so that its
        packs have other numbers, everything is due again.

    Raises
    ------
    FilterError
        The filter cannot be understood.
    """
    is_there = named("query/openlineage")["is_there"]
    known = cursor and db.execute(is_there, cursor._asdict()).fetchone()
    return runs(db, where, after=cursor.id if cursor and known else 0)


def newest(db: sqlite3.Connection) -> Cursor | None:
    """Return the pack that was merged last; None before the first."""
    row = db.execute(named("query/openlineage")["newest"]).fetchone()
    return Cursor(*row) if row else None


def load(path: Path) -> Cursor | None:
    """
    Return where an export ended; None if there was none.

    Raises
    ------
    FormatError
        The file is not of that kind.
    """
    try:
        return Cursor(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise FormatError(
            f"{path} does not say where an export ended ({error}); nothing was sent. Delete it, and"
            " everything is sent again."
        ) from error


def save(path: Path, cursor: Cursor) -> None:
    """
    Keep where an export ended, in a file of the user's own.

    Raises
    ------
    FormatError
        It cannot be written; it is as it was.
    """
    try:
        with whole(path.resolve()) as partial:
            partial.write_text(json.dumps(cursor._asdict()) + "\n", "utf-8")
    except OSError as error:
        raise FormatError(
            f"{path} cannot be written: {error.strerror or error}; it is as it was, so what was"
            " sent now will be sent again."
        ) from error


def line(event: RunEvent) -> bytes:
    """Return an event as a line of JSON."""
    from openlineage.client.serde import Serde  # noqa: PLC0415 - an extra, and slow to import

    return Serde.to_json(event).encode() + b"\n"


def sender() -> Callable[[RunEvent], str | None]:
    """
    Return what sends an event to where OpenLineage's settings say: ``OPENLINEAGE_URL``, or others.

    Events go out as they are: what the client would add says where *it* runs. It returns None, or
    why the receiver will not take this event, however often it comes.

    Raises
    ------
    ConfigError
        The settings name no place, or a way on which nobody learns what arrived.
    """
    from openlineage.client import OpenLineageClient  # noqa: PLC0415 - an extra, slow to import

    client: Any = OpenLineageClient()
    if client.transport is None or client.transport.kind in ("console", "noop"):
        raise ConfigError(
            "OpenLineage's settings do not say where events go; nothing was sent. Set"
            " OPENLINEAGE_URL=http://HOST:PORT, or OPENLINEAGE_CONFIG, see"
            " https://openlineage.io/docs/client/python"
        )
    if client.transport.kind == "async_http":
        raise ConfigError(
            "OpenLineage's transport async_http does not tell which events arrived; nothing was"
            " sent. Set its type to http."
        )

    def send(event: RunEvent) -> str | None:
        try:
            client.transport.emit(event)
        except Exception as error:
            if _status(error) in _REFUSED:
                return f"{event.eventType} of {event.job.name}, run {event.run.runId}: {error}"
            raise RemoteError(
                f"an event could not be sent: {error}. What was sent before it stays there; the"
                " next export sends again from where the last one ended."
            ) from error
        return None

    return send


def _status(error: BaseException | None) -> int | None:
    """Return what the receiver answered, if an error is of that; a transport may be in another."""
    while error is not None:
        status: int | None = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            return status
        error = error.__cause__
    return None
