"""What can be asked of a server: one table, from which routes and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.responses import Response

from cmfd.exposition import CONTENT_TYPE
from cmfd.serve import handlers
from cmfd.serve.answers import JSON
from cmfd.sync.peer import About, Guess, Part, Signed, Wanted
from cmfd.sync.resources import (
    PREFIX,
    After,
    AfterSigned,
    Choice,
    Greeting,
    Health,
    Incoming,
    Page,
    Received,
    Sent,
)

if TYPE_CHECKING:
    from cmfd.serve.service import Call

Handler = Callable[["Call"], Awaitable[Response]]

ANY: frozenset[str] = frozenset(("read", "push"))
READ = frozenset(("read",))
PUSH = frozenset(("push",))
METRICS = frozenset(("metrics",))


class Operation(NamedTuple):
    """
    Something that can be asked.

    Attributes
    ----------
    name : str
        What it is called, in the document and among the figures.
    method, path : str
        How it is asked.
    handler : callable
        What does it; the first line of its docstring is its summary, the rest its description.
    scopes : frozenset of str or None
        A token needs one of them; None: no token is needed.
    answers : dict
        By status, the type of the answer and that of the media; None: there is no body.
    body : type, optional
        Of the body, in JSON; `bytes`: a pack.
    """

    name: str
    method: str
    path: str
    handler: Handler
    scopes: frozenset[str] | None
    answers: dict[int, tuple[Any, str] | None]
    body: Any = None


def _json(kind: Any) -> dict[int, tuple[Any, str] | None]:
    return {200: (kind, JSON)}


_ONE = f"{PREFIX}/packs/{{digest}}"

OPERATIONS = (
    Operation("health", "GET", "/health", handlers.health, None, _json(Health)),
    Operation("metrics", "GET", "/metrics", handlers.metrics, METRICS, {200: (str, CONTENT_TYPE)}),
    Operation("about", "GET", f"{PREFIX}/about", handlers.about, ANY, _json(About)),
    Operation(
        "greeting", "POST", f"{PREFIX}/greeting", handlers.greeting, ANY, _json(Greeting), Guess
    ),
    Operation("since", "POST", f"{PREFIX}/since", handlers.since, READ, _json(Page), After),
    Operation(
        "part", "POST", f"{PREFIX}/part", handlers.part, READ,
        {200: (Part, handlers.LINES)}, Wanted,
    ),
    Operation(
        "read", "GET", _ONE, handlers.read, READ,
        {200: (bytes, handlers.PACK), 206: (bytes, handlers.PACK)},
    ),
    Operation(
        "read_many", "POST", f"{PREFIX}/read", handlers.read_many, READ, _json(list[Sent]), Choice
    ),
    Operation("write", "PUT", _ONE, handlers.write, PUSH, {204: None}, bytes),
    Operation(
        "incoming", "GET", f"{PREFIX}/incoming/{{digest}}", handlers.incoming, PUSH, _json(Incoming)
    ),
    Operation(
        "write_many", "POST", f"{PREFIX}/packs", handlers.write_many, PUSH, _json(Received),
        list[Sent],
    ),
    Operation(
        "signed", "POST", f"{PREFIX}/signed", handlers.signed, READ, _json(list[Signed]),
        AfterSigned,
    ),
    Operation(
        "take_signatures", "POST", f"{PREFIX}/signatures", handlers.take_signatures, PUSH,
        {204: None}, list[Signed],
    ),
    Operation("merge", "POST", f"{PREFIX}/merge", handlers.merge, PUSH, _json(Received)),
)  # fmt: skip
