"""
Stands in for systemd on the machines of a test cluster, which have none.

It starts and ends what a unit says, as the user and in the environment that it says. Of other
lines it knows nothing: those are checked by systemd's own tools.

    systemctl start | enable --now | stop | disable --now | restart | reload | is-active UNIT
    systemctl kill --signal=NAME UNIT
"""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

from support.cluster.processes import Known, wait_for

UNITS = Path("/etc/systemd/system")


class Unit:
    """
    A unit of a service.

    Parameters
    ----------
    said : str
        Its name, or the path of its file.
    """

    def __init__(self, said: str) -> None:
        path = UNITS / said if "/" not in said else Path(said)
        path = path if path.suffix else path.with_suffix(".service")
        lines = path.read_text("utf-8").splitlines()
        self.lines = [(key, value) for key, equals, value in (x.partition("=") for x in lines)]
        self.name = path.stem
        self.pid_file = Path("/run", f"{self.name}.pid")

    def values(self, key: str) -> list[str]:
        """Return what the unit says of a key."""
        return [value for found, value in self.lines if found == key]

    def start(self) -> None:
        """Start it; one that says when it is ready is waited for."""
        if Known.read(self.pid_file):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            address = f"/run/{self.name}.notify"
            Path(address).unlink(missing_ok=True)
            ready.bind(address)
            Path(address).chmod(0o666)
            account = pwd.getpwnam(self.values("User")[0])
            environ = dict(value.split("=", 1) for value in self.values("Environment"))
            with Path("/var/log", f"{self.name}.log").open("ab") as log:
                process = subprocess.Popen(
                    shlex.split(self.values("ExecStart")[0]), cwd="/", start_new_session=True,
                    env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": account.pw_dir,
                         "NOTIFY_SOCKET": address, **environ},
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    umask=int(self.values("UMask")[0], 8), user=account.pw_uid,
                    group=account.pw_gid,
                    extra_groups=os.getgrouplist(account.pw_name, account.pw_gid),
                )  # fmt: skip
            Known.of(process.pid).write(self.pid_file)
            if "notify" in self.values("Type"):
                ready.settimeout(0)
                wait_for(
                    lambda: process.poll() is not None or is_ready(ready), f"{self.name} starts"
                )
                if process.returncode is not None:
                    log_text = Path("/var/log", f"{self.name}.log").read_text("utf-8")
                    raise ChildProcessError(f"{self.name} did not start:\n{log_text}")
        process.returncode = 0  # it goes on; nobody waits for it

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        if known := Known.read(self.pid_file):
            known.send(number)

    def stop(self) -> None:
        """End it, and wait."""
        known = Known.read(self.pid_file)
        if known:
            known.send(signal.SIGTERM)
            wait_for(lambda: not known.runs, f"{self.name} ends")


def is_ready(channel: socket.socket) -> bool:
    """Tell whether a service has said that it is ready."""
    try:
        return b"READY=1" in channel.recv(4096)
    except BlockingIOError:
        return False


def main() -> int:
    """Do what the command line says."""
    action, *words = sys.argv[1:]
    unit = Unit(words[-1])
    if action in {"stop", "disable", "restart"}:
        unit.stop()
    if action in {"start", "enable", "restart"}:
        unit.start()
    if action == "reload":
        unit.send(signal.SIGHUP)
    if action == "kill":
        unit.send(signal.Signals[f"SIG{words[0].removeprefix('--signal=').removeprefix('SIG')}"])
    if action == "is-active":
        print("active" if Known.read(unit.pid_file) else "inactive")
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
