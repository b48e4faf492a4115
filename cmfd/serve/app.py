"""The ASGI application: from a request to the operation that it asks for, and the access log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cmfd.errors import CmfdError
from cmfd.serve import openapi
from cmfd.serve.answers import JSON, Refusal, refusal_of, refused
from cmfd.serve.operations import OPERATIONS, Operation
from cmfd.serve.service import Call, Service, address_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_access = logging.getLogger("cmfd.serve.access")

_DISCARDED_BYTES = 16 << 20
_DISCARDED_S = 5.0
"""Of what a refused request still brings, so much is read: a client that is cut off while it sends
does not see why."""


def application(service: Service) -> ASGIApp:
    """
    Return the ASGI application of a site.

    Parameters
    ----------
    service : Service
        The site, and who may do what with it.
    """
    by_path: dict[str, dict[str, Operation]] = {}
    for one in OPERATIONS:
        by_path.setdefault(one.path, {})[one.method] = one
    routes = [Route(path, _Resource(service, ways)) for path, ways in by_path.items()]
    text = msgspec.json.encode(openapi.document())
    routes.append(Route(openapi.PATH, lambda _: Response(text, media_type=JSON)))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_there})
    return _Watched(app, service)


async def _not_there(_: Request, error: Exception) -> Response:
    """Answer for what there is not, or not with this method."""
    assert isinstance(error, HTTPException)
    return refused(Refusal(error.status_code, "NotThere", error.detail, headers=error.headers))


class _Resource:
    """What is at one path."""

    def __init__(self, service: Service, ways: dict[str, Operation]) -> None:
        self._service = service
        self._ways = ways
        self._allow = ", ".join(sorted({*ways, *(["HEAD"] if "GET" in ways else [])}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        operation = self._ways.get(method)
        if operation is None:
            raise HTTPException(405, headers={"Allow": self._allow})
        scope["cmfd.operation"] = operation.name
        request = Request(scope, receive, send)
        try:
            with self._admitted(request, operation) as call:
                response = await operation.handler(call)
                await response(scope, receive, send)
                return
        except CmfdError as error:
            refusal = self._refusal_of(error)
        except Refusal as error:
            refusal = error
        response = refused(refusal)
        # Who was too slow is not waited for again.
        if refusal.status == 408 or not await _discard(request):
            response.headers["Connection"] = "close"
        await response(scope, receive, send)

    def _admitted(self, request: Request, operation: Operation) -> Any:
        if operation.scopes is None:
            return self._service.stranger(request)
        return self._service.admitted(request, operation.scopes)

    def _refusal_of(self, error: CmfdError) -> Refusal:
        """Return an error as who asked may see it: where the site lies is not their matter."""
        refusal = refusal_of(error)
        path = str(self._service.site.path)
        reason = refusal.trouble.reason.replace(path, "the site")
        refusal.trouble = msgspec.structs.replace(refusal.trouble, reason=reason)
        return refusal


async def _discard(request: Request) -> bool:
    """Read what is left of a body; return whether that was all."""
    n_bytes = 0
    with anyio.move_on_after(_DISCARDED_S):
        while not request.scope.get("cmfd.heard") and n_bytes < _DISCARDED_BYTES:
            message = await request.receive()
            n_bytes += len(message.get("body", b""))
    return bool(request.scope.get("cmfd.heard"))


class _Watched:
    """Counts and logs each request, whatever becomes of it."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.monotonic()
        status = received = sent = 0

        async def hear() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            scope["cmfd.heard"] = not message.get("more_body", False)
            return message

        async def say(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        figures = self._service.figures
        figures.n_under_way += 1
        try:
            await self._app(scope, hear, say)
        finally:
            figures.n_under_way -= 1
            duration_s = time.monotonic() - began_s
            name = scope.get("cmfd.operation", "")
            figures.count(name, status, duration_s=duration_s, received=received, sent=sent)
            # Neither headers nor what is after the question mark: there may be secrets in them.
            _access.info(
                "request",
                extra={
                    "fields": {
                        "address": address_of(Request(scope)),
                        "who": scope.get("cmfd.who", ""),
                        "method": scope["method"],
                        "path": scope["path"][:200],
                        "operation": name,
                        "status": status,
                        "duration_ms": round(duration_s * 1e3, 1),
                        "received_bytes": received,
                        "sent_bytes": sent,
                    }
                },
            )


__all__ = ["Call", "application"]
