"""What is done for each request: the verbs of `cmfd.sync.peer`, for who may use them."""

from __future__ import annotations

import base64
import re
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import msgspec
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

from cmfd import __version__
from cmfd.errors import CmfdError, NotFoundError, PackError
from cmfd.exposition import CONTENT_TYPE
from cmfd.serve.answers import Refusal, answer
from cmfd.serve.body import length_of
from cmfd.serve.narrow import NarrowPeer
from cmfd.store.pack import is_pack_name
from cmfd.sync.peer import (
    MOST_DIGESTS,
    MOST_SIGNATURES,
    MOST_TOGETHER,
    Guess,
    Signed,
    Taken,
    Wanted,
)
from cmfd.sync.resources import (
    MOST_BATCH_BYTES,
    MOST_PAGE,
    SIGNATURE_HEADER,
    After,
    AfterSigned,
    Choice,
    Greeting,
    Health,
    Incoming,
    Page,
    Received,
    Sent,
    place_of,
)
from cmfd.sync.small import read_small
from cmfd.sync.stdio import page_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cmfd.serve.service import Call
    from cmfd.sync.peer import Blocks, Place

T = TypeVar("T")

MOST_NUMBER = 1 << 48
"""No file is so long."""

PACK = "application/vnd.sqlite3"
LINES = "application/jsonl"

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


async def health(call: Call) -> Response:
    """Say whether the site can be read; to anybody, and nothing else."""
    try:
        await call.service.ask(call.service.whole.about)
    except CmfdError as error:
        raise Refusal(503, "Unhealthy", "the site cannot be read") from error
    return answer(Health("ok", __version__))


async def metrics(call: Call) -> Response:
    """Give figures for Prometheus."""
    about = await call.service.ask(call.service.whole.about)
    return PlainTextResponse(call.service.figures.text(about), media_type=CONTENT_TYPE)


async def about(call: Call) -> Response:
    """Say which site this is."""
    return answer(await call.service.ask(call.peer.about))


async def greeting(call: Call) -> Response:
    """Say which site this is, which of some packs it lacks, and how many came after a place."""
    guess = await _question(call, Guess)
    if len(guess.digests) > MOST_DIGESTS:
        raise Refusal(422, "TooMany", f"more than {MOST_DIGESTS} packs")
    peer = call.peer

    def ask() -> Greeting:
        return Greeting(peer.about(), peer.lacks(guess.digests), peer.count_since(guess.place))

    return answer(await call.service.ask(ask))


async def since(call: Call) -> Response:
    """List the packs that came after a place, in the order of the site."""
    asked = await _question(call, After)
    peer = call.peer

    def ask() -> Page:
        entries = peer.since(asked.place)
        page = page_of(entries, min(max(asked.limit, 1), MOST_PAGE))
        return Page(page, next(entries, None) is not None)

    return answer(await call.service.ask(ask))


async def part(call: Call) -> Response:
    """
    List the packs of the executions that a filter chooses, and of what these came from.

    A line is a JSON document: first the counts, then each pack, at last null.
    """
    wanted = await _question(call, Wanted)
    peer = call.peer
    found = await call.service.ask(lambda: peer.part(wanted))
    counts = msgspec.structs.replace(found, entries=[])
    return StreamingResponse(_lines([counts, *found.entries, None]), media_type=LINES)


async def _lines(documents: list[object]) -> AsyncIterator[bytes]:
    for begin in range(0, len(documents), MOST_PAGE):
        lines = map(msgspec.json.encode, documents[begin : begin + MOST_PAGE])
        yield b"".join(line + b"\n" for line in lines)


async def read(call: Call) -> Response:
    """Give a pack's bytes, from any of them on."""
    digest = call.request.path_params["digest"]
    peer = call.peer
    path = await call.service.ask(lambda: peer.file_of(digest))
    # It never changes: its name is its content.
    headers = {"ETag": f'"{digest}"', "Cache-Control": "private, immutable"}
    return FileResponse(path, headers=headers, media_type=PACK, stat_result=path.stat())


async def read_many(call: Call) -> Response:
    """Give small packs, the first of those that are asked for and are there."""
    asked = await _question(call, Choice)
    peer = call.peer
    return answer(await call.service.ask(lambda: list(read_small(peer, asked.digests))))


async def incoming(call: Call) -> Response:
    """Say how much of a pack came in a try that was cut."""
    digest = call.request.path_params["digest"]
    if not is_pack_name(f"{digest}.db"):
        raise NotFoundError(f"{digest[:80]!r} is no pack's name")
    await call.service.has_come(digest)
    peer = call.peer
    return answer(Incoming(await call.service.ask(lambda: peer.n_come(digest))))


async def write(call: Call) -> Response:
    """
    Take a pack, or the rest of one of which some came before.

    With Content-Range: bytes FIRST-LAST/SIZE, the body is the rest of it.
    """
    digest = call.request.path_params["digest"]
    # Known from now on: whoever was cut off is back sooner than an index far away is asked.
    with call.service.coming(digest):
        return await _written(call, digest)


async def _written(call: Call, digest: str) -> Response:
    first, size_bytes = _range_of(call)
    signature = _signature_of(call)
    peer = call.peer
    if not await call.service.ask(lambda: peer.lacks([digest]) or not is_pack_name(f"{digest}.db")):
        return Response(status_code=204)
    _follow_on(first, await call.service.ask(lambda: peer.n_come(digest)))
    body = call.body(size_bytes - first)

    def blocks(offset: int) -> Blocks:
        _follow_on(first, offset)
        return body.blocks(offset - first)

    try:
        await call.service.take(lambda: peer.write(digest, size_bytes, blocks, signature=signature))
    except PackError:
        call.service.figures.count_refused(1)
        raise
    return Response(status_code=204)


def _follow_on(first: int, offset: int) -> None:
    """Raise if there would be a gap between what came and what comes."""
    if offset < first:
        reason = f"the pack must come from byte {offset} on"
        raise Refusal(409, "Elsewhere", reason, offset=offset)


def _range_of(call: Call) -> tuple[int, int]:
    """Return at which byte of a pack a body begins, and how large the pack is."""
    said = call.request.headers.get("content-range")
    length = length_of(call.request)
    if said is None:
        if length is None:
            raise Refusal(411, "NoLength", "a pack's size must be told: Content-Length")
        first, size_bytes = 0, length
    else:
        found = _RANGE.fullmatch(said)
        first, last, size_bytes = (int(one) for one in found.groups()) if found else (0, 0, 0)
        if not (first <= last == size_bytes - 1 and length in {None, size_bytes - first}):
            raise Refusal(
                400, "BadRange", "Content-Range must be: bytes FIRST-LAST/SIZE, to the end"
            )
    if size_bytes > call.service.limits.pack_bytes:
        most = call.service.limits.pack_bytes
        raise Refusal(413, "TooLarge", f"{size_bytes} bytes; this site takes packs up to {most}")
    return first, size_bytes


def _signature_of(call: Call) -> str:
    try:
        return base64.b64decode(
            call.request.headers.get(SIGNATURE_HEADER, ""), validate=True
        ).decode("ascii")
    except ValueError as error:
        raise Refusal(400, "BadSignature", f"{SIGNATURE_HEADER} is no base64") from error


async def write_many(call: Call) -> Response:
    """Take small packs; with ``?merge=true``, also merge what waits."""
    asks_merge = call.request.query_params.get("merge", "false")
    if asks_merge not in {"true", "false"}:
        raise Refusal(400, "BadQuery", "merge is true or false")
    place = _place_of(call)
    sent = _decoded(await call.body(MOST_BATCH_BYTES).whole(), list[Sent])
    if len(sent) > MOST_TOGETHER:  # of each, programs may be started
        raise Refusal(422, "TooMany", f"more than {MOST_TOGETHER} packs")
    peer = call.peer
    refused: dict[str, str] = {}

    def take() -> tuple[list[str], int | None]:
        n_since = None if place is None else peer.count_since(place)
        before = peer.lacks([one.digest for one in sent]), n_since
        for one in sent:
            try:
                peer.take(one.digest, one.data, signature=one.signature)
            except PackError as error:  # noqa: PERF203 - one of them is no reason against others
                refused[one.digest] = str(error)
        return before

    lacked, count = await call.service.take(take)
    call.service.figures.count_refused(len(refused))
    received = await _received(call, refused, merges=asks_merge == "true")
    return answer(msgspec.structs.replace(received, lacked=lacked, count=count))


def _place_of(call: Call) -> Place | None:
    said = call.request.query_params.get("place")
    try:
        return None if said is None else place_of(said)
    except ValueError as error:
        raise Refusal(400, "BadQuery", str(error)) from error


async def signed(call: Call) -> Response:
    """List the signatures that came after so many, some at a time, in the order they came."""
    asked = await _question(call, AfterSigned)
    peer = call.peer
    number = min(max(asked.number, 0), MOST_NUMBER)
    return answer(
        await call.service.ask(lambda: list(islice(peer.signed_since(number), MOST_SIGNATURES)))
    )


async def take_signatures(call: Call) -> Response:
    """Keep signatures of packs that are here."""
    sent = _decoded(await call.body(MOST_BATCH_BYTES).whole(), list[Signed])
    if len(sent) > MOST_SIGNATURES:
        raise Refusal(422, "TooMany", f"more than {MOST_SIGNATURES} signatures")
    peer = call.peer
    # As what takes packs: each is checked by a program, and no question waits for that.
    await call.service.take(lambda: peer.take_signatures(sent))
    return Response(status_code=204)


async def merge(call: Call) -> Response:
    """Merge what waits."""
    return answer(await _received(call, {}, merges=True))


async def _received(call: Call, refused: dict[str, str], *, merges: bool) -> Received:
    taken: Taken | None = await call.service.merge() if merges else None
    peer = call.peer
    if taken is not None and taken.refused and isinstance(peer, NarrowPeer):
        narrow, all_of_it = peer, taken
        taken = await call.service.ask(lambda: narrow.told(all_of_it))
    return Received(refused, await call.service.ask(call.peer.about), taken)


async def _question(call: Call, kind: type[T]) -> T:
    return _decoded(await call.body().whole(), kind)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(422, "BadBody", f"the body cannot be understood: {error}") from error
