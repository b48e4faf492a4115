"""Answers: what was asked for, or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from cmfd.errors import (
    CmfdError,
    FilterError,
    NotFoundError,
    PackError,
    SiteBusyError,
    StoreError,
)
from cmfd.sync.resources import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json"

_STATUS = (
    (NotFoundError, 404),
    (PackError, 422),
    (FilterError, 422),
    (SiteBusyError, 503),
    (StoreError, 503),
)
"""Of errors, the first that fits; of any other, 500."""


class Refusal(Exception):  # noqa: N818 - the answer is an error, this is how it is given
    """
    A request is not answered with what it asked for.

    Parameters
    ----------
    status : int
        Of HTTP.
    error : str
        The kind.
    reason : str
        For who asked: what happened, what was kept, what to do.
    headers : mapping, optional
        Of the answer.
    offset : int, optional
        From where a pack must come.
    """

    def __init__(
        self,
        status: int,
        error: str,
        reason: str,
        *,
        headers: Mapping[str, str] | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.trouble = Trouble(error, reason, offset)
        self.headers = dict(headers or {})


def answer(body: object, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(msgspec.json.encode(body), status, media_type=JSON)


def refused(refusal: Refusal) -> Response:
    """Return the answer of a refusal."""
    return Response(
        msgspec.json.encode(refusal.trouble), refusal.status, refusal.headers, media_type=JSON
    )


def refusal_of(error: CmfdError) -> Refusal:
    """Return what an error of cmfd is to who asked."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {"Retry-After": "5"} if status == 503 else {}
    return Refusal(status, type(error).__name__, str(error), headers=headers)
