"""A cluster: made, used and ended."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from support.cluster import conf, machine, numbers, processes
from support.cluster.jobs import Account
from support.cluster.machine import SYSTEM_PATH, Machine
from support.cluster.options import Options
from support.cluster.processes import Known, Seen, wait_for
from support.cluster.services import Services

NEIGHBOURS = Path("/proc/sys/net/ipv4/neigh/default")
MANY_NODES = 64


class Cluster:
    """
    A cluster in a directory. `up` makes one; `attach` gives one that is up.

    Attributes
    ----------
    root : Path
        Its directory, at the same path on all its machines: its shared file system.
    shared : Path
        A directory in it where everybody may make files.
    head : Machine
        Where users log in and the controller runs.
    nodes : list[str]
        The names of its nodes.
    """

    def __init__(self, root: Path, number: int, options: Options) -> None:
        self.root = root
        self.number = number
        self.options = options
        self.name = f"test{number}"
        self.shared = root / "shared"
        self.head = Machine(root, f"c{number}head")
        self.nodes = [numbers.node_name(number, index) for index in range(options.n_nodes)]
        self.machines = {name: Machine(root, name) for name in self.nodes}
        self.services = Services(root, self.head)
        self._lifeline: int | None = None

    @classmethod
    def up(cls, root: Path, options: Options | None = None, *, kept: bool = False) -> Cluster:
        """
        Make a cluster.

        Parameters
        ----------
        root : Path
            A directory that is not there yet, on a file system of this machine's own.
        options : Options, optional
            What it is like.
        kept : bool
            Whether it stays up when this process, and all others that have attached to it, end.
        """
        root = root.resolve()
        options = options or Options()
        root.mkdir(parents=True)
        number, held = numbers.take(root, kept=kept)
        cluster = cls(root, number, options)
        mask = os.umask(0o022)
        try:
            root.chmod(0o755)
            cluster._write_files()
            cluster._start(held, kept=kept)
        except BaseException:
            cluster.down()
            raise
        finally:
            os.umask(mask)
            os.close(held)
        return cluster

    @classmethod
    def attach(cls, root: Path) -> Cluster:
        """Return the cluster in a directory, which is up, and keep it so."""
        said = json.loads((root / "etc" / "cluster.json").read_text("utf-8"))
        options = Options(**{
            **said["options"],
            "private": tuple(said["options"]["private"]),
            "lines": tuple(said["options"]["lines"]),
        })  # fmt: skip
        cluster = cls(root.resolve(), said["number"], options)
        cluster._hold_lifeline()
        _ = cluster.head.pid
        return cluster

    def down(self) -> None:
        """End it, and remove its directory."""
        self.head.crash()
        self.release()
        numbers.give_back(self.number, self.root)

    def release(self) -> None:
        """Do without it from now on: it ends with the last process that has not said so."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def tidy(self) -> None:
        """Put it in order: services and nodes run, and users have no jobs, processes or files."""
        for name in self.services.wanted(accounting=self.options.accounting):
            self.services.start(name)
        off = [name for name, place in self.machines.items() if place.init is None]
        if off:
            self._boot(off)
        self._end_jobs()
        for name in self.options.users:
            self._forget(name)
        broken = [n for n, state in self.node_states().items() if state.startswith(("dr", "fail"))]
        if broken:
            words = (f"NodeName={','.join(broken)}", "State=RESUME")
            self.root_user.run("scontrol", "update", *words)
        self.wait_ready()

    def _end_jobs(self) -> None:
        def jobs() -> list[str]:
            return self.root_user.run("squeue", "--noheader", "--format=%A").stdout.split()

        if jobs():
            self.root_user.run("scancel", *jobs(), check=False)
            self.root_user.run("scancel", "--full", "--signal=KILL", *jobs(), check=False)
            wait_for(lambda: not jobs(), "all jobs have ended", every_s=0.1)

    def _forget(self, user: str) -> None:
        """Remove what a user has."""
        for seen in self.processes_of(user):
            with suppress(ProcessLookupError):
                Known.of(seen.pid).end()
        for place in self.machines.values():
            for name in reversed(list(place.files_of(self.options.users[user]))):
                remove(place.path(name))
        for directory in (self.users[user].shared, self.users[user].home):
            for path in directory.iterdir():
                remove(path)

    def crash(self, node: str) -> None:
        """Cut a node's power."""
        self.machines[node].crash()

    def start(self, *nodes: str) -> None:
        """Start nodes, and wait until SLURM may use them."""
        self._boot(list(nodes))
        self.wait_ready(*nodes)

    def words(
        self, user: str, command: tuple[str, ...], node: str | None, environ: dict[str, str]
    ) -> list[str]:
        """Return the words that run a command as a user on the head, or on a node."""
        place = self.head if node is None else self.machines[node]
        account = self.users[user] if user != "root" else self.root_user
        become = [] if user == "root" else [
            "setpriv", f"--reuid={account.uid}", f"--regid={account.uid}", "--init-groups", "--",
        ]  # fmt: skip
        environ = {
            "PATH": f"{Path(sys.prefix) / 'bin'}:{SYSTEM_PATH}", "LANG": "C.UTF-8", "USER": user,
            "LOGNAME": user, "HOME": str(account.home), "SHELL": "/bin/bash",
            "SLURM_CONF": str(self.slurm_conf), **environ,
        }  # fmt: skip
        said = [f"{key}={value}" for key, value in environ.items()]
        directory = account.shared if user != "root" else self.shared
        return [*place.entering(), *become, "env", "-i", f"-C{directory}", *said, *command]

    @property
    def slurm_conf(self) -> Path:
        """The file that configures SLURM."""
        return self.root / "etc" / "slurm.conf"

    @cached_property
    def users(self) -> dict[str, Account]:
        """Its users."""
        return {name: Account(self, name) for name in self.options.users}

    @cached_property
    def root_user(self) -> Account:
        """The operator."""
        return Account(self, "root")

    def node_states(self) -> dict[str, str]:
        """Return what SLURM says of the nodes: `idle`, `mixed`, `drained`, `down*`, ..."""
        command = ("sinfo", "--noheader", "--Node", "--partition=debug", "--format=%N %T")
        rows = [line.split() for line in self.root_user.run(*command).stdout.splitlines()]
        return {row[0]: row[1] for row in rows}

    def wait_ready(self, *nodes: str, timeout_s: float = 120) -> None:
        """Wait until SLURM may use nodes; without any, all."""
        wanted = nodes or tuple(self.nodes)

        def usable() -> bool:
            states = self.node_states()
            return all(states.get(name) in {"idle", "mixed", "allocated"} for name in wanted)

        wait_for(usable, f"{wanted} are ready", timeout_s, every_s=0.1)

    def processes_of(self, user: str, node: str | None = None) -> list[Seen]:
        """Return a user's processes on a node, or on all machines but the head."""
        places = [self.machines[node]] if node else list(self.machines.values())
        found = list(processes.processes_of(self.options.users[user]))
        spaces = {place.namespace for place in places if place.init} if found else set()
        return [seen for seen in found if seen.namespace in spaces]

    def leftovers(self, user: str) -> list[str]:
        """Return what there is of a user on the nodes: ``NODE: process`` and ``NODE: path``."""
        on = {name: place for name, place in self.machines.items() if place.init}
        names = {place.namespace: name for name, place in on.items()}
        found = [f"{names[seen.namespace]}: {seen.command}" for seen in self.processes_of(user)]
        for name, place in on.items():
            found += [f"{name}: {path}" for path in place.files_of(self.options.users[user])]
        return found

    def _write_files(self) -> None:
        for name in ("etc", "log", "run", "machines", "munge", "state", "home", "shared"):
            (self.root / name).mkdir()
        etc = self.root / "etc"
        (self.root / "log").chmod(0o1777)
        self.shared.chmod(0o1777)
        shutil.chown(self.root / "state", "slurm", "slurm")
        shutil.chown(self.root / "munge", "munge", "munge")
        self._write_key()
        (etc / "hosts").write_text(conf.hosts(self.head.name, self.nodes), "utf-8")
        text = conf.slurm_conf(self.options, self.root, self.name, self.head.name, self.nodes)
        self.slurm_conf.write_text(text, "utf-8")
        (etc / "cgroup.conf").write_text(conf.cgroup_conf(self.options), "utf-8")
        (etc / "accounting.sql").write_text(conf.ACCOUNTING_SQL, "utf-8")
        for name, text in zip(
            ("passwd", "group"), conf.accounts(self.options, self.root), strict=True
        ):
            (etc / name).write_text(text, "utf-8")
        for name, text in self.options.files.items():
            (etc / name).write_text(text.replace("{root}", str(self.root)), "utf-8")
            (etc / name).chmod(0o755 if text.startswith("#!") else 0o644)
        database = etc / "slurmdbd.conf"
        database.write_text(conf.slurmdbd_conf(self.root, self.head.name), "utf-8")
        database.chmod(0o600)
        shutil.chown(database, "slurm", "slurm")
        said = {"number": self.number, "options": asdict(self.options)}
        (etc / "cluster.json").write_text(json.dumps(said), "utf-8")
        for name, uid in self.options.users.items():
            for place, mode in ((self.root / "home" / name, 0o700), (self.shared / name, 0o755)):
                place.mkdir()
                place.chmod(mode)
                os.chown(place, uid, uid)

    def _write_key(self) -> None:
        key = self.root / "munge" / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        shutil.chown(key, "munge", "munge")

    def _binds(self) -> machine.Pairs:
        return [(self.root, self.root), *machine.installation(self.root / "copies")]

    def _start(self, held: int, *, kept: bool) -> None:
        binds = self._binds()
        for place in [self.head, *self.machines.values()]:
            place.prepare(self.options.private, binds)
        lifeline = self.root / "run" / "lifeline"
        if not kept:
            os.mkfifo(lifeline, 0o600)
            self._hold_lifeline()
        environ = {"LIFELINE": "" if kept else str(lifeline)}
        self.head.booted(self.head.boot(conf.HEAD_ADDRESS, binds, environ, held=held))
        wait_for((self.head.dir / "ready").exists, f"the head is ready: {self.head.log()}")
        self.services.start("munged")
        with ThreadPoolExecutor() as pool:
            accounting = pool.submit(self._start_accounting)
            self._boot(self.nodes)
            accounting.result()
        self.services.start("slurmctld")
        self.wait_ready()

    def _start_accounting(self) -> None:
        if not self.options.accounting:
            return
        self.services.install_mariadb()
        self.services.start("mariadbd")
        self.services.start("slurmdbd")
        self.services.add_accounts(self.name, list(self.options.users))

    def _hold_lifeline(self) -> None:
        lifeline = self.root / "run" / "lifeline"
        if lifeline.exists():
            self._lifeline = os.open(lifeline, os.O_RDWR | os.O_CLOEXEC)

    def _boot(self, nodes: list[str]) -> None:
        binds = self._binds()
        environ = {"WATTS": str(self.options.watts)} if self.options.watts else {}
        cpus = sorted(os.sched_getaffinity(0))
        if len(nodes) >= MANY_NODES:
            allow_many_neighbours()
        begun = {}
        for name in nodes:
            index = self.nodes.index(name)
            address = conf.node_address(index)
            place = self.machines[name]
            cpu = cpus[index % len(cpus)] if self.options.one_cpu else None
            begun[name] = place.boot(address, binds, environ, within=self.head, cpu=cpu)
        lines = []
        for name, number in begun.items():
            self.machines[name].booted(number)
            pid = self.machines[name].pid
            link = f"v{self.nodes.index(name)}-{pid}"  # an old one may be there for a moment yet
            lines.append(f"link add {link} type veth peer name eth0 netns {pid}")
            lines.append(f"link set {link} master br0 up")
        command = ["nsenter", f"--target={self.head.pid}", "--net", "--", "ip", "-batch", "-"]
        subprocess.run(command, input="\n".join(lines), text=True, check=True)
        for name in nodes:
            self.machines[name].go_on()


def remove(path: Path) -> None:
    """Remove a file or a directory with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def allow_many_neighbours() -> None:
    """Let this machine know more addresses: about 100 machines overflow what is usual."""
    for name, number in (("gc_thresh3", 131072), ("gc_thresh2", 65536)):
        path = NEIGHBOURS / name
        if int(path.read_text()) < number:
            path.write_text(str(number))
