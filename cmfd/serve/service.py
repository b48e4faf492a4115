"""
A site that is served: who may do what with it, how much of it, and what was asked so far.

Every request comes through `Service.admitted`; what it may do then is in the `Call` that its
handler gets.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import anyio
import anyio.to_thread

from cmfd.merge.rules import Pusher
from cmfd.serve.answers import Refusal
from cmfd.serve.body import Body, Pace
from cmfd.serve.figures import Figures
from cmfd.serve.limits import Buckets, Rate, Slots
from cmfd.serve.narrow import NarrowPeer
from cmfd.serve.tokens import SCOPES, Bearer, Keyring
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import MOST_PACK_BYTES, Taken
from cmfd.sync.remotes import Address
from cmfd.sync.resources import MOST_QUESTION_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from cmfd.merge.layout import Site

T = TypeVar("T")

ANYONE = Bearer("", frozenset(SCOPES))
"""Who comes where no token is asked for."""

MERGE_ANSWERS_S = 20.0
"""A merge that takes longer goes on, and its end is not waited for: proxies would not."""

CUT_ENDS_S = 5.0
"""So long at most it takes until what is left of a connection that was cut has been written."""

_SCHEME = "bearer "
_HOST = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<name>[^:]*))(?::[0-9]+)?")
_log = logging.getLogger("cmfd.serve")


class Limits(NamedTuple):
    """
    How much anybody may ask.

    Attributes
    ----------
    of_address, of_token : Rate
        Requests, of one address and of one token.
    failures : Rate
        Requests of one address with a token that is none.
    pack_bytes : int
        A pack is not larger.
    pace : Pace
        How slow a body may be.
    """

    of_address: Rate = Rate(200.0, 2000.0)
    of_token: Rate = Rate(200.0, 2000.0)
    failures: Rate = Rate(0.2, 20.0)
    pack_bytes: int = MOST_PACK_BYTES
    pace: Pace = Pace()


USUAL = Limits()


@dataclass
class Call:
    """
    A request that may be answered.

    Attributes
    ----------
    service : Service
        Of which site.
    request : Request
        The request.
    bearer : Bearer
        Whose it is.
    """

    service: Service
    request: Request
    bearer: Bearer

    @property
    def peer(self) -> SitePeer:
        """The site, as far as it is there for who asks."""
        return self.service.peer_of(self.bearer)

    def body(self, most_bytes: int = MOST_QUESTION_BYTES) -> Body:
        """Return what the request brings."""
        return Body(self.request, most_bytes, self.service.limits.pace)


@dataclass
class Service:
    """
    A site that is served.

    Attributes
    ----------
    site : Site
        The site.
    limits : Limits
        How much anybody may ask.
    is_open : bool
        No token is asked for: only where nobody else can come.
    """

    site: Site
    limits: Limits = USUAL
    is_open: bool = False

    def __post_init__(self) -> None:
        """Count from nothing."""
        self.figures = Figures()
        self._keyring = Keyring(self.site)
        self._addresses = Buckets(self.limits.of_address)
        self._tokens = Buckets(self.limits.of_token)
        self._failures = Buckets(self.limits.failures)
        self._slots = Slots(of_one=8, of_all=64)
        # Who sends slowly has a thread for as long: that keeps no question from its answer.
        self._questions = anyio.CapacityLimiter(8)
        self._uploads = anyio.CapacityLimiter(64)
        self._merging: set[asyncio.Task[Taken]] = set()
        self._coming: dict[str, set[asyncio.Event]] = {}

    @property
    def whole(self) -> SitePeer:
        """All of the site."""
        return SitePeer(self.site)

    def peer_of(self, bearer: Bearer) -> SitePeer:
        """Return the site as it is there for somebody."""
        who = Pusher("anyone", "") if self.is_open else Pusher("token", bearer.name)
        if bearer.pipelines:
            return NarrowPeer(self.site, bearer.pipelines, who=who)
        return SitePeer(self.site, who=who)

    @contextmanager
    def admitted(self, request: Request, scopes: frozenset[str]) -> Iterator[Call]:
        """
        Let a request be answered while the block runs.

        Raises
        ------
        Refusal
            It may not: who it is from is not known, may not do that, or asks too much.
        """
        address = address_of(request)
        _wait(self._addresses.take(address, time.monotonic()))
        bearer = self._known(request, address)
        request.scope["cmfd.who"] = bearer.name
        if scopes and not scopes & bearer.scopes:
            needed = " or ".join(sorted(scopes))
            raise Refusal(403, "Forbidden", f"the token {bearer.name!r} may not {needed} here")
        _wait(self._tokens.take(bearer.name, time.monotonic()))
        with self._slots.one(bearer.name or address) as free:
            _wait(0.0 if free else 1.0)
            yield Call(self, request, bearer)

    @contextmanager
    def stranger(self, request: Request) -> Iterator[Call]:
        """Let a request be answered, whoever it is from; the parameters are those of `admitted`."""
        _wait(self._addresses.take(address_of(request), time.monotonic()))
        yield Call(self, request, Bearer("", frozenset()))

    def _known(self, request: Request, address: str) -> Bearer:
        if self.is_open:
            _check_no_page(request)
            return ANYONE
        said = request.headers.get("authorization", "")
        if said.lower().startswith(_SCHEME):
            bearer = self._keyring.bearer(said[len(_SCHEME) :].strip())
            if bearer is not None:
                return bearer
            _wait(self._failures.take(address, time.monotonic()))
        reason = "this token is none of this site's" if said else "a token is needed: CMFD_TOKEN"
        raise Refusal(401, "Unknown", reason, headers={"WWW-Authenticate": 'Bearer realm="cmfd"'})

    async def ask(self, question: Callable[[], T]) -> T:
        """Run what reads the site in a thread."""
        return await anyio.to_thread.run_sync(question, limiter=self._questions)

    async def take(self, upload: Callable[[], T]) -> T:
        """Run what takes a pack in a thread."""
        return await anyio.to_thread.run_sync(upload, limiter=self._uploads)

    @contextmanager
    def coming(self, digest: str) -> Iterator[None]:
        """Know that a pack is being written while the block runs."""
        over = asyncio.Event()
        events = self._coming.setdefault(digest, set())
        events.add(over)
        try:
            yield
        finally:
            over.set()
            events.discard(over)
            if not events:
                self._coming.pop(digest, None)

    async def has_come(self, digest: str) -> None:
        """
        Wait until nobody writes a pack any more, or for as long as that may take.

        Whose connection was cut is back before all that came through it is written.
        """
        with anyio.move_on_after(CUT_ENDS_S):
            for over in list(self._coming.get(digest, ())):
                await over.wait()

    async def merge(self) -> Taken:
        """Merge what waits, and tell what came of it unless that takes long."""
        task = asyncio.create_task(asyncio.to_thread(self.whole.merge))
        self._merging.add(task)
        task.add_done_callback(self._merged)
        await asyncio.wait({task}, timeout=MERGE_ANSWERS_S)
        if task.done():
            return task.result()
        waiting = await self.ask(self.whole.n_waiting)
        return Taken(0, waiting, {}, "the server, which goes on with it")

    def _merged(self, task: asyncio.Task[Taken]) -> None:
        self._merging.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a merge failed: %s", error)


def address_of(request: Request) -> str:
    """Return where a request comes from."""
    return request.client.host if request.client else ""


def _check_no_page(request: Request) -> None:
    """
    Raise if some page in a browser on this machine may be asking.

    Where no token is asked for, the machine is the border, and a browser on it would let any page
    that its user looks at cross it: with a name of its own that leads here, or from elsewhere.
    """
    found = _HOST.fullmatch(request.headers.get("host", ""))
    is_here = found is not None and Address("", found["six"] or found["name"]).is_loopback
    if not is_here or "origin" in request.headers:
        raise Refusal(403, "Forbidden", "without tokens, this site is for programs on this machine")


def _wait(seconds: float) -> None:
    """Raise if somebody must wait."""
    if seconds > 0:
        raise Refusal(
            429,
            "TooMany",
            f"too many requests; come again in {seconds:.1f} s",
            headers={"Retry-After": str(math.ceil(seconds))},
        )
