"""A real SSH server on this machine, started by a test, with keys of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from support.programs import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_STARTS_S = 30


class Server(NamedTuple):
    """Where it listens, and what it takes to get in."""

    port: int
    key: Path


@contextmanager
def ssh_server(place: Path) -> Iterator[Server]:
    """
    Serve SSH and SFTP on loopback to whoever has the key, as the user who runs the test.

    Parameters
    ----------
    place : Path
        An empty directory for keys, settings and log.
    """
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if sshd is None:
        unavailable("there is no sshd on this machine; Debian's package openssh-server brings it")
    place.mkdir(mode=0o700)
    Path("/run/sshd").mkdir(exist_ok=True)  # what a service manager would make
    for name in ("host", "user"):
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name))
        subprocess.run(words, check=True)
    (place / "authorized").write_text((place / "user.pub").read_text())
    (place / "authorized").chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": place / "host",
        "AuthorizedKeysFile": place / "authorized", "PasswordAuthentication": "no",
        "StrictModes": "no", "UsePAM": "no", "PermitRootLogin": "yes", "PidFile": place / "pid",
        "Subsystem": "sftp internal-sftp",
    }  # fmt: skip
    (place / "config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    with (place / "log").open("wb") as log:
        server = subprocess.Popen((sshd, "-D", "-e", "-f", str(place / "config")), stderr=log)
    try:
        _wait(port, server, place / "log")
        yield Server(port, place / "user")
    finally:
        server.terminate()
        server.wait(_STARTS_S)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    until_s = time.monotonic() + _STARTS_S
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until_s, "it does not listen"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
