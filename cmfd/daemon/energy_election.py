"""
Which of several daemons counts a node's energy: one, and never a second.

The service of a node for all its users counts whatever others do; it asks nobody. Other daemons
count only where there is no such service, and of those the one that holds a name among the
abstract sockets. The kernel takes that name from whoever ends, there is no file that somebody
could have left or put there, and whoever asks learns from the kernel who holds it. A user could
hold the name and count nothing; that costs his neighbours their figures, is seen, and harms no job.
Containers with a network of their own have names of their own.
"""

from __future__ import annotations

import pwd
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cmfd import config
from cmfd.wire.endpoint import listener

if TYPE_CHECKING:
    from cmfd.config import Settings
    from cmfd.wire.endpoint import Peer

_NAME = "cmfd-energy"
_CREDENTIALS = struct.Struct("3i")
_PATIENCE_S = 0.2


class Holder(NamedTuple):
    """The process that counts."""

    pid: int
    uid: int

    @property
    def user(self) -> str:
        """Whose it is."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)


class Election:
    """
    Whether this daemon counts.

    Parameters
    ----------
    settings : Settings
        Whether it is the service, and which counters it reads.

    Attributes
    ----------
    reason : str
        Why it does not, once it was asked.
    holder_uid : int or None
        Whose daemon counts in its place.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_service = settings.system
        # Who looks elsewhere, as tests do, counts something else.
        self._name = f"\0{_NAME}:{settings.energy_sysfs}"
        self._held: socket.socket | None = None
        self.reason = ""
        self.holder_uid: int | None = None

    def is_won(self) -> bool:
        """Tell whether this daemon counts now; it may change whenever another ends or begins."""
        if self._is_service:
            return True
        if (service := _service()) is not None:
            self.close()
            self.holder_uid = service.uid
            self.reason = "this node's service for all users counts its energy"
            return False
        if self._held is None:
            self._held = self._take()
        else:
            self._let_go(self._held)
        self.reason = "" if self._held is not None else self._why()
        return self._held is not None

    def is_contested(self) -> bool:
        """Tell whether somebody has counted while the service was away, and does until he looks."""
        if not self._is_service:
            return False
        return self.holder() is not None

    def _take(self) -> socket.socket | None:
        held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        held.settimeout(0.0)
        try:
            held.bind(self._name)
            held.listen(128)
        except OSError:
            held.close()
            return None
        return held

    @staticmethod
    def _let_go(held: socket.socket) -> None:
        """Let go of those who asked who holds the name: the kernel keeps only so many waiting."""
        with suppress(OSError):
            while True:
                held.accept()[0].close()

    def _why(self) -> str:
        holder = self.holder()
        self.holder_uid = None if holder is None else holder.uid
        if holder is None:
            return "another daemon counts this node's energy"
        return f"process {holder.pid} of user {holder.user} counts this node's energy"

    def holder(self) -> Holder | None:
        """Return who holds the name, as the kernel says; None: nobody does, or lets be asked."""
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_PATIENCE_S)
            asking.connect(self._name)
            said = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, _ = _CREDENTIALS.unpack(said)
            return Holder(pid, uid)
        return None

    def close(self) -> None:
        """Let another count."""
        if self._held is not None:
            self._held.close()
            self._held = None


def service_is_up() -> bool:
    """Tell whether a service that the operator has set up listens."""
    return _service() is not None


def _service() -> Peer | None:
    settings, _ = config.load_usable({})
    return listener(settings.node_dir) if settings.system else None
