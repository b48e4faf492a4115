"""
The exchange with a server: `cmfd serve` on another machine.

A push of something new is one request where an earlier one was kept in mind, else two.
"""

from __future__ import annotations

import base64
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import msgspec

from cmfd.errors import CmfdError, FilterError, NotFoundError, PackError, RemoteError, StoreError
from cmfd.store.pack import is_pack_name
from cmfd.sync.far import GOES_ON, FarPeer
from cmfd.sync.http import BROKEN, PATIENCE_S, TRIES, Answer, Told, Wire, asked_to_wait_s
from cmfd.sync.peer import (
    BLOCK_BYTES,
    MOST_PACK_BYTES,
    Entry,
    Guess,
    Part,
    Place,
    Signed,
    Wanted,
)
from cmfd.sync.resources import (
    PREFIX,
    SIGNATURE_HEADER,
    After,
    AfterSigned,
    Choice,
    Greeting,
    Incoming,
    Page,
    Received,
    Sent,
    Trouble,
    place_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.sync.peer import Blocks, FromOffset

T = TypeVar("T")

_LINE_BYTES = 1 << 16
_KINDS: dict[str, type[CmfdError]] = {
    kind.__name__: kind for kind in (NotFoundError, PackError, StoreError, FilterError)
}


class HttpsPeer(FarPeer):
    """
    A site that is served.

    Parameters
    ----------
    wire : Wire
        To a `cmfd serve`.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire.whom)
        self._wire = wire

    def _greet(self, guess: Guess) -> Greeting:
        return self._post("greeting", guess, Greeting)

    def _count(self, place: Place | None) -> int | None:
        return self._post("greeting", Guess(place=place), Greeting).count

    def since(self, place: Place | None) -> Iterator[Entry]:
        """Yield its packs in their order: those after a place, all where that is no place of it."""
        more = True
        while more:
            page = self._post("since", After(place), Page)
            yield from page.entries
            more = page.more and bool(page.entries)
            place = page.entries[-1].place if page.entries else place

    def part(self, wanted: Wanted) -> Part:
        """Return the packs of a part of it."""
        told = self._opened(self._wire.open("POST", f"{PREFIX}/part", **_json(wanted)))
        with closing(told.body):
            counts: Part = self._line(told, Part)
            entries: list[Entry] = []
            while entry := self._line(told, Entry | None):
                entries.append(entry)
        self._wire.close()  # nothing is known of what is left in it
        return msgspec.structs.replace(counts, entries=entries)

    def _line(self, told: Told, kind: Any) -> Any:
        try:
            line = told.body.readline(_LINE_BYTES)
        except BROKEN as error:
            raise self._wire.lost(error) from error
        return self._decoded(line, kind)

    def vouch(self, entry: Entry) -> str:
        """Return the signature that a pack of it is sent with."""
        return entry.signature

    def _read_many(self, digests: list[str]) -> list[Sent]:
        return self._post("read", Choice(digests), list[Sent])

    def read(self, digest: str, offset: int) -> Blocks:
        """Yield the bytes of a pack from an offset, and go on where a connection was cut."""
        if not is_pack_name(f"{digest}.db"):
            raise NotFoundError(f"there is no pack {digest[:80]!r}")
        if data := self._early(digest)[offset:]:
            yield data
            return
        n_cut = 0
        while True:
            try:
                for block in self._blocks(digest, offset):
                    n_cut = 0
                    offset += len(block)
                    yield block
            except BROKEN as error:  # noqa: PERF203 - it is a loop for that
                n_cut += 1
                self._wire.close()
                if n_cut == TRIES:
                    raise self._wire.lost(error) from error
            else:
                return

    def _blocks(self, digest: str, offset: int) -> Blocks:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._wire.open("GET", f"{PREFIX}/packs/{digest}", headers=headers)
        if answer.status == 416:  # all of it came, and then the connection was cut
            return
        told = self._opened(answer)
        if told.status != (206 if offset else 200):
            self._wire.close()
            raise RemoteError(f"{self._wire.whom} gives other bytes than it was asked for")
        n_left = MOST_PACK_BYTES
        try:
            while block := told.body.read(BLOCK_BYTES):
                n_left -= len(block)
                if n_left < 0:
                    raise RemoteError(f"{self._wire.whom} sends a pack without end")
                yield block
        finally:
            if not told.body.isclosed():
                self._wire.close()  # somebody wanted no more of it
        if told.body.length:  # http.client does not say so of a read of some bytes
            raise ConnectionError("it was cut")

    def _hand(self, sent: list[Sent], *, merge: bool, guess: Guess | None = None) -> Received:
        asked = {"merge": "true" if merge else "false"}
        if guess is not None and guess.place is not None:
            asked["place"] = place_text(guess.place)
        path = f"packs?{urlencode(asked)}" if sent else "merge"
        return self._post(path, sent or None, Received)

    def _write_large(
        self, digest: str, size_bytes: int, blocks: FromOffset, signature: str
    ) -> None:
        path = f"{PREFIX}/packs/{digest}"

        def come() -> int:
            # Of one that came whole and was not taken, the last byte goes again, and all is tried.
            return min(self._n_come(digest), size_bytes - 1)

        offset, n_cut, n_elsewhere = come(), 0, 0
        until_s = time.monotonic() + PATIENCE_S
        while True:
            headers = {
                "Content-Range": f"bytes {offset}-{size_bytes - 1}/{size_bytes}",
                "Content-Length": str(size_bytes - offset),
                SIGNATURE_HEADER: base64.b64encode(signature.encode()).decode(),
            }
            try:
                with closing(blocks(offset)) as coming:
                    answer = self._wire.whole(self._wire.try_once("PUT", path, coming, headers))
                rest_s = asked_to_wait_s(answer)
                if rest_s is not None and time.monotonic() + rest_s < until_s:
                    time.sleep(rest_s)
                    offset = come()
                    continue
                # From elsewhere: another client may send it, too; but not for ever.
                n_elsewhere += 1
                if answer.status != 409 or n_elsewhere == TRIES:
                    self._done(answer)
                    return
                offset = min(max(_trouble(answer).offset or 0, 0), size_bytes - 1)
            except BROKEN as error:
                self._wire.close()
                before, offset = offset, come()
                n_cut = 0 if offset > before else n_cut + 1
                if n_cut == TRIES:
                    raise self._wire.lost(error) from error

    def _n_come(self, digest: str) -> int:
        answer = self._wire.ask("GET", f"{PREFIX}/incoming/{digest}")
        return self._decoded(self._done(answer), Incoming).offset

    def signed_since(self, number: int) -> Iterator[Signed]:
        """Yield the signatures that it got after so many."""
        while page := self._post("signed", AfterSigned(number), list[Signed]):
            yield from page
            number = max(page[-1].number, number + 1)

    def take_signatures(self, signed: Sequence[Signed]) -> None:
        """Have it keep signatures of packs that it has."""
        self._done(self._wire.ask("POST", f"{PREFIX}/signatures", **_json(list(signed))))

    def _post(self, what: str, body: object, kind: type[T]) -> T:
        answer = self._wire.ask("POST", f"{PREFIX}/{what}", **_json(body))
        return self._decoded(self._done(answer), kind)

    def _decoded(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RemoteError(
                f"{self._wire.whom} answers what was not asked: {error}. Look whether it is a site"
                " of cmfd, and of this release"
            ) from error

    def _opened(self, answer: Told | Answer) -> Told:
        """Return what is to be read; raise what went wrong."""
        if isinstance(answer, Answer):
            self._done(answer)
            raise RemoteError(f"{self._wire.whom} answers {answer.status}: that is not known")
        return answer

    def _done(self, answer: Answer) -> bytes:
        """Return the body of an answer; raise what it says went wrong."""
        if answer.status < 300:
            return answer.data
        trouble = _trouble(answer)
        if kind := _KINDS.get(trouble.error):
            raise kind(trouble.reason)
        advice = _ADVICE.get(answer.status, "")
        raise RemoteError(
            f"{self._wire.whom} answers {answer.status}: {trouble.reason}; {GOES_ON}.{advice}"
        )


def _trouble(answer: Answer) -> Trouble:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(answer.data, type=Trouble)
    return Trouble("", f"{answer.data[:200]!r}")  # some proxy's page, perhaps


_ADVICE = {
    401: " Ask its operator for a token, and put it into CMFD_TOKEN, or into a file: cmfd remote"
    " add NAME URL --token-file FILE",
    403: " Ask its operator for a token that may",
    404: " Look whether the address is right",
    413: " Ask its operator to take larger packs",
}


def _json(body: object) -> dict[str, Any]:
    if body is None:
        return {}
    return {"body": msgspec.json.encode(body), "headers": {"Content-Type": "application/json"}}
