"""
The machines of a test cluster: the head, where users log in and the controller runs, and nodes.

A machine is a set of namespaces (mounts, network, processes, host name, IPC) on this machine. Its
file system is an overlay over this machine's: everything that is installed here is there too, and
what is written stays in the machine's own ``disk/``, where a test can look at it from outside. Two
things are the same on all machines, at the paths that they have here: the cluster's directory,
which is the shared file system, and, read-only, the Python that runs the tests with its packages
and the source tree. Directories above those may be entered by everybody on the machines, and what
only root could read of them is copied for the cluster: so ``sys.executable`` runs cmfd as any user
of any machine, also where it is a Python in root's private home, or of a private checkout.

Network and processes end with the head, whose processes include all other machines'. Nothing of a
cluster is seen on the network of this machine, so that any number of clusters can live here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.cluster import processes
from support.cluster.processes import Known, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TREE = Path(__file__).parents[3]
NAMESPACES = ("--net", "--uts", "--mount", "--pid", "--ipc")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HIDDEN = ("/etc/cmfd", "/var/lib/cmfd")
"""An installation on this machine is not seen on the cluster's."""

Pairs = list[tuple[Path, Path]]


def may_all_read(path: Path) -> bool:
    """Whether the files of a Python environment or of the source tree can be read by everybody."""
    probes = [path, *path.glob("bin/python3"), *path.glob("cmfd/__init__.py")]
    probes += path.glob("lib/python3*/os.py")
    probes += path.glob("lib/python3*/site-packages/*/__init__.py")
    return all(probe.stat().st_mode & 0o004 for probe in probes)


def readable(path: Path, copies: Path) -> Path:
    """Return `path`, or, if others cannot read what is in it, a copy that they can read."""
    if may_all_read(path):
        return path
    copy = copies / str(path).strip("/").replace("/", "-")
    if not copy.exists():
        shutil.copytree(path, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", "*cache"))
        subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
    return copy


def installation(copies: Path) -> Pairs:
    """Return where the tests' Python, its packages and cmfd are, as pairs of source and target."""
    wanted = {TREE, Path(sys.prefix).resolve(), Path(sysconfig.get_path("purelib")).resolve()}
    base = Path(sys.base_prefix).resolve()
    if base not in {Path("/usr"), Path("/usr/local")}:
        wanted.add(base)
    outer = [path for path in wanted if not wanted & set(path.parents)]
    return [
        (readable(path, copies), path) for path in sorted(outer) if Path("/usr") not in path.parents
    ]


def directory_in(disk: Path, path: Path, mode: int, *, opaque: bool = False) -> None:
    """Make a directory of a machine, and those above it so that everybody may enter them."""
    for parent in [*reversed(path.parents), path]:
        made = disk / parent.relative_to("/")
        if not made.exists():
            made.mkdir()
            made.chmod(parent.stat().st_mode | 0o111 if parent.is_dir() else 0o755)
    made.chmod(mode)
    if opaque:
        os.setxattr(made, "trusted.overlay.opaque", b"y")


class Machine:
    """
    A machine of a cluster; it may be off.

    Parameters
    ----------
    root : Path
        The cluster's directory.
    name : str
        Its host name.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.dir = root / "machines" / name
        self.disk = self.dir / "disk"
        self.pid_file = self.dir / "pid"

    def prepare(self, private: tuple[str, ...], binds: Pairs) -> None:
        """Make its disk."""
        for name in ("disk", "work", "new", "spool", "tmpfs"):
            (self.dir / name).mkdir(parents=True)
        (self.dir / "tmpfs").chmod(0o1777)
        os.mkfifo(self.dir / "gate", 0o600)
        for path in private:
            directory_in(self.disk, Path(path), 0o1777, opaque=True)
        for path in HIDDEN:
            if Path(path).exists():
                directory_in(self.disk, Path(path), 0o755, opaque=True)
        for _, target in binds:
            directory_in(self.disk, target, 0o755)
        directory_in(self.disk, Path("/etc"), 0o755)
        for name in ("hosts", "passwd", "group"):
            shutil.copyfile(self.root / "etc" / name, self.disk / "etc" / name)
        (self.disk / "etc" / "hostname").write_text(f"{self.name}\n", "utf-8")

    def boot(
        self, address: str, binds: Pairs, environ: dict[str, str], *,
        within: Machine | None = None, held: int | None = None, cpu: int | None = None,
    ) -> int:  # fmt: skip
        """Begin to start it, its processes among those of another machine; see `booted`."""
        inside = [] if within is None else ["nsenter", f"--target={within.pid}", "--pid", "--"]
        bound = [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
        own = [*bound, "unshare", *NAMESPACES, "--fork", "--kill-child=KILL", "--"]
        pairs = [str(path) for pair in binds for path in pair]
        init = [str(Path(__file__).with_name("init.sh")), str(self.dir), self.name, address, *pairs]
        kept = {
            "PATH": SYSTEM_PATH, "ROOT": str(self.root),
            "SLURM_CONF": str(self.root / "etc" / "slurm.conf"),
        }  # fmt: skip
        log = self.root / "log" / f"{self.name}.out"
        return processes.spawn([*inside, *own, *init], {**kept, **environ}, log, held)

    def booted(self, begun: int) -> None:
        """Wait until it has processes and a network of its own, after `boot` returned `begun`."""

        def is_there() -> bool:
            if processes.has_ended(begun):
                raise ChildProcessError(f"{self.name} did not start: {self.log()}")
            return processes.first_process(begun) is not None

        wait_for(is_there, f"{self.name} starts")
        Known.of(processes.first_process(begun) or 0).write(self.pid_file)

    def go_on(self) -> None:
        """Tell a node that is starting that its network is there."""

        def told() -> bool:
            if self.init is None:
                raise ChildProcessError(f"{self.name} has ended: {self.log()}")
            with suppress(OSError):  # until it listens
                os.close(os.open(self.dir / "gate", os.O_WRONLY | os.O_NONBLOCK))
                return True
            return False

        wait_for(told, f"{self.name} has a file system")

    def log(self) -> str:
        """Return what its first process printed."""
        return (self.root / "log" / f"{self.name}.out").read_text("utf-8", errors="replace")

    @property
    def init(self) -> Known | None:
        """Its first process, while it is on."""
        return Known.read(self.pid_file)

    @property
    def pid(self) -> int:
        """The number of its first process."""
        init = self.init
        if init is None:
            raise ProcessLookupError(f"{self.name} is off: {self.log()}")
        return init.pid

    def crash(self) -> None:
        """Cut its power: all its processes end at once."""
        init = self.init
        if init is not None:
            init.end()

    def entering(self) -> list[str]:
        """Return the words before a command that make it one of this machine."""
        return ["nsenter", f"--target={self.pid}", *NAMESPACES, "--"]

    def path(self, path: str) -> Path:
        """Return where a path of this machine is seen from outside, while it is on."""
        return Path(f"/proc/{self.pid}/root", path.lstrip("/"))

    @property
    def namespace(self) -> str:
        """Which PID namespace its processes are in."""
        return processes.namespace(self.pid, "pid")

    def files_of(self, uid: int) -> Iterator[str]:
        """Yield the files of a user on this machine's own disk and in its memory."""
        places = [(self.disk, ""), (self.path("/dev/shm"), "/dev/shm"), (self.path("/run"), "/run")]
        for place, name in places:
            for directory, folders, files in os.walk(place):
                for found in (Path(directory, item) for item in [*folders, *files]):
                    if found.lstat().st_uid == uid:
                        yield f"{name}/{found.relative_to(place)}"

    @contextmanager
    def without(self, path: str) -> Iterator[None]:
        """Take a directory from this machine for a while: it is empty and read-only."""
        inside = self.entering()
        away = ["mount", "-t", "tmpfs", "-o", "ro,mode=755", "tmpfs", path]
        subprocess.run([*inside, *away], check=True)
        try:
            yield
        finally:
            subprocess.run([*inside, "umount", "--lazy", path], check=True)

    def set_watts(self, watts: int) -> None:
        """Change the power that its simulated counter of energy counts."""
        (self.dir / "watts").write_text(f"{watts}\n", "ascii")
