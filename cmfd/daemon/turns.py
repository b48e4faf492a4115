"""A queue in which users take turns, however much each of them has in it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Turns:
    """Instances in the order in which they came, each user's apart."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[bytes]] = {}

    def __iter__(self) -> Iterator[bytes]:
        """Yield all that wait."""
        for queue in self._queues.values():
            yield from queue

    def __contains__(self, uid: int) -> bool:
        """Tell whether something of a user waits."""
        return uid in self._queues

    @property
    def uids(self) -> list[int]:
        """Whose turn comes, in this order."""
        return list(self._queues)

    def add(self, uid: int, instance: bytes) -> None:
        """Put something at a user's end."""
        self._queues.setdefault(uid, deque()).append(instance)

    def take(self, may: Callable[[int], bool]) -> bytes | None:
        """Return the first of the next user who may; None: nobody may, or nothing waits."""
        uid = next((uid for uid in self._queues if may(uid)), None)
        if uid is None:
            return None
        queue = self._queues.pop(uid)
        instance = queue.popleft()
        if queue:
            self._queues[uid] = queue  # behind all others
        return instance
