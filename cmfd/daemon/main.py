"""
The daemon as a process: one a node directory, started, detached, ended.

Whoever holds the lock on `daemon.lock` is the daemon; the kernel gives it back
however the daemon ends. A socket that a killed one left behind is replaced.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cmfd import config, identity, python, slurm
from cmfd.daemon.clearing import clear, has_anything, journals_in
from cmfd.daemon.lock import Lock
from cmfd.daemon.options import Limits, Options, options_from
from cmfd.daemon.service import check_service
from cmfd.daemon.sites import Sites
from cmfd.daemon.stimuli import FoundJournal, Reloaded, Started
from cmfd.errors import ConfigError
from cmfd.wire.endpoint import endpoint, socket_path

if TYPE_CHECKING:
    import zmq

    from cmfd.config import Settings
    from cmfd.daemon.energy import Energy
    from cmfd.daemon.loop import Alarm
    from cmfd.daemon.perform import Performer
    from cmfd.daemon.worker import Worker
    from cmfd.store.node import NodeStore

log = logging.getLogger(__name__)

STORE_NAME, LOG_NAME, OUTBOX_NAME = "node.db", "daemon.log", "packs-tmp"

LOG_BYTES = 1 << 20
"""The log begins anew at this size; the one before it is kept."""
QUEUED_MESSAGES = 256
"""Of one connection, in each direction; what a client may send is bounded by its credit."""
LINGER_MS = 500
MOST_FILES = 1 << 16
TRIES = 5


def run_daemon(
    settings: Settings, *, idle_s: float | None = None, detach: bool = False,
    if_needed: bool = False,
) -> int:  # fmt: skip
    """
    Be the daemon of a node directory until told to end, or idle for long enough.

    Parameters
    ----------
    settings : Settings
        As `cmfd.config.load` gathers them.
    idle_s : float, optional
        In place of `Settings.idle_s`; 0: never end by itself.
    detach : bool
        Go on in the background, in a session of its own, with the log in the
        node directory. The caller's process goes on as soon as the lock is held.
    if_needed : bool
        Do nothing where there is no journal and no store: whoever wanted a daemon for what it
        logged was slower than the end of its job, which has delivered that and cleared the node.

    Returns
    -------
    int
        Exit code: 0. With `detach`, it is the daemon's in the process that
        went to the background, and the other one's is 0 as well.

    Raises
    ------
    DaemonRunningError
        There is one already.
    CmfdError
        The node directory, socket or store cannot be used; nothing was changed.
    """
    if if_needed and not settings.node_dir.exists():
        return 0
    with ExitStack() as cleanup:
        lock = _prepare_and_lock(settings)
        cleanup.callback(lock.close)
        comes_and_goes = _in_job() and not settings.system
        if if_needed and not has_anything(settings):
            if comes_and_goes:
                clear(settings.node_dir)
            return 0
        if detach and not _go_to_background(settings.node_dir, lock):
            return 0
        if comes_and_goes:
            cleanup.callback(clear, settings.node_dir)
        _set_up_logging(settings.node_dir if detach else None)
        lock.name_holder()
        before = set(journals_in(settings))
        reason = _serve(settings, idle_s, lock, cleanup)
        log.info("ended: %s", reason)
    if reason == "idle" and not before.issuperset(journals_in(settings)):
        # Of a process that found the lock still held, and so started no daemon itself.
        _begin_again(idle_s, detach=detach)
    return 0


def _begin_again(idle_s: float | None, *, detach: bool) -> None:
    """Become another daemon, without the threads of this one, which may not be done."""
    words = ["daemon", "--if-needed", *(["--detach"] if detach else [])]
    idle = [] if idle_s is None else [f"--idle={idle_s}"]
    os.execv(sys.executable, python.module("cmfd", *words, *idle))  # noqa: S606 - ourselves


def _prepare_and_lock(settings: Settings) -> Lock:
    """Take the lock; once more, if the end of another job cleared the directory just now."""
    for _ in range(TRIES):
        _prepare(settings)
        with contextlib.suppress(FileNotFoundError):
            return Lock(settings.node_dir)
    raise ConfigError(f"The node directory {settings.node_dir} is removed again and again")


def _prepare(settings: Settings) -> None:
    """Make the directories, but for those that root makes for the service of all users."""
    if settings.system:
        check_service(settings)
        os.umask(0o077)  # what a site's readers may see, its directory says
        return
    config.ensure_node_dir(settings.node_dir)
    settings.journal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def _go_to_background(node_dir: Path, lock: Lock) -> bool:
    """Fork; tells whether this is the process that goes on."""
    if os.fork():
        return False
    # Whoever started it may have handed files on: a pipe whose end is waited for, a job's own lock.
    os.closerange(3, lock.fileno())
    os.closerange(lock.fileno() + 1, MOST_FILES)
    os.setsid()
    os.chdir("/")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    # What is not logged but written, a traceback or a merge's complaint, goes to the log as well.
    output = os.open(node_dir / LOG_NAME, flags, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    return True


def _set_up_logging(node_dir: Path | None) -> None:
    """Log to standard error; in the background to a file, which is kept small."""
    handler: logging.Handler = logging.StreamHandler()
    if node_dir is not None:
        from logging.handlers import RotatingFileHandler  # noqa: PLC0415 - 10 ms, for this case

        handler = RotatingFileHandler(node_dir / LOG_NAME, maxBytes=LOG_BYTES, backupCount=1)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )


def _serve(settings: Settings, idle_s: float | None, lock: Lock, cleanup: ExitStack) -> str:
    """Put the parts together and run; returns why it ended."""
    # Only now, so that the launcher need not wait for these 200 ms before it is let go.
    from cmfd.daemon.loop import Alarm, Loop  # noqa: PLC0415
    from cmfd.daemon.perform import Performer  # noqa: PLC0415
    from cmfd.daemon.state import NodeState  # noqa: PLC0415
    from cmfd.daemon.watch import Watch  # noqa: PLC0415
    from cmfd.daemon.worker import Worker  # noqa: PLC0415
    from cmfd.store.node import NodeStore  # noqa: PLC0415

    _raise_descriptor_limit()
    _give_memory_back()
    alarm, watch = Alarm(), Watch()
    cleanup.callback(watch.close)
    cleanup.callback(alarm.close)
    alarm.listen_to(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    socket = _bind(settings, cleanup)
    store = NodeStore(settings.node_dir / STORE_NAME)
    cleanup.callback(store.close)
    worker = Worker(
        settings.node_dir / STORE_NAME,
        _empty_outbox(settings.node_dir),
        cluster=_cluster(),
        node=slurm.node_name(),
        wake=alarm.ring,
        known=None if settings.system else settings.own_journal_dir / "hashes",
    )
    worker.sites = _sites(settings)
    performer = Performer(settings, socket, store, worker, watch, lock)
    cleanup.callback(performer.close)
    performer.energy = _energy(settings, store, alarm)
    performer.energy.start()
    cleanup.callback(performer.energy.close)
    state = NodeState(_options(settings, idle_s), identity.uuid7(), time.monotonic_ns())
    loop = Loop(
        state,
        performer,
        socket,
        watch=watch,
        worker=worker,
        alarm=alarm,
        reload=lambda: _reload(performer, worker, idle_s),
    )
    log.info("pid %d serves %s", os.getpid(), settings.node_dir)
    return loop.run([*performer.jobs_found(), Started(_journals(settings, store))])


def _energy(settings: Settings, store: NodeStore, alarm: Alarm) -> Energy:
    from cmfd.daemon.energy import Energy, Place  # noqa: PLC0415 - as in _serve

    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    place = Place(
        settings.node_dir / STORE_NAME, _cluster(), slurm.node_name(), identity.parse(boot),
        identity.uuid7(),
    )  # fmt: skip
    return Energy(settings, place, alarm.ring, store.energy_memory())


def _raise_descriptor_limit() -> None:
    """Take what may be had: each client needs two, and 1024 is little for a large node."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _give_memory_back() -> None:
    """
    Have the C library return what is freed after a burst, not keep it for the next.

    Messages are allocated by libzmq's thread and freed by ours, which its
    defaults serve badly: an idle daemon would go on holding 30 MiB of air.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(-8, 1)  # M_ARENA_MAX
        libc.mallopt(-1, 128 << 10)  # M_TRIM_THRESHOLD


def _bind(settings: Settings, cleanup: ExitStack) -> zmq.Socket[bytes]:
    """Listen; libzmq replaces a socket file that is still there from a killed daemon."""
    import zmq  # noqa: PLC0415 - as in _serve

    context = zmq.Context()
    cleanup.callback(context.term)
    socket = context.socket(zmq.ROUTER)
    cleanup.callback(socket.close)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.RCVHWM, QUEUED_MESSAGES)
    socket.setsockopt(zmq.SNDHWM, QUEUED_MESSAGES)
    socket.setsockopt(zmq.MAXMSGSIZE, Limits().greatest_window_bytes)
    path = socket_path(settings.node_dir)
    try:
        socket.bind(endpoint(settings.node_dir))
        cleanup.callback(path.unlink, missing_ok=True)
        path.chmod(0o666 if settings.system else 0o600)
    except (zmq.ZMQError, OSError) as error:
        raise ConfigError(
            f"cannot listen at {path}: {error}. Remove it if it is yours, or set CMFD_NODE_DIR"
        ) from error
    return socket


def _empty_outbox(node_dir: Path) -> Path:
    """Return where packs lie until they are published; what lay there is sealed again."""
    outbox = node_dir / OUTBOX_NAME
    outbox.mkdir(mode=0o700, exist_ok=True)
    for path in outbox.iterdir():
        path.unlink()
    return outbox


def _cluster() -> str:
    job = slurm.job_from(os.environ)
    return job.cluster if job is not None else ""


def _in_job() -> bool:
    return slurm.job_from(os.environ) is not None


def _options(settings: Settings, idle_s: float | None) -> Options:
    try:
        default_site = str(config.find_site("/"))
    except ConfigError:
        default_site = ""
    if idle_s is not None:
        settings = msgspec.structs.replace(settings, idle_s=idle_s)
    if settings.system:
        settings = msgspec.structs.replace(settings, idle_s=0.0)
    return options_from(
        settings,
        own_uid=os.geteuid(),
        host=slurm.node_name(),
        default_site=default_site,
        # In a job, what ends it merges: a thousand nodes need not try at once.
        merge=settings.auto_merge and not settings.system and not _in_job(),
    )


def _sites(settings: Settings) -> Sites | None:
    return Sites(settings.system_site, settings.system_readers) if settings.system else None


def _reload(performer: Performer, worker: Worker, idle_s: float | None) -> Reloaded | None:
    """Read the settings again; where things are does not change while the daemon runs."""
    try:
        loaded = config.load()
    except ConfigError as error:
        log.error("the settings were not reloaded: %s", error)  # noqa: TRY400 - says all
        return None
    kept = performer.settings
    performer.settings = msgspec.structs.replace(
        loaded, node_dir=kept.node_dir, journal_dir=kept.journal_dir, system=kept.system
    )
    worker.sites = _sites(performer.settings)
    return Reloaded(_options(performer.settings, idle_s))


def _journals(settings: Settings, store: NodeStore) -> tuple[FoundJournal, ...]:
    """Return the journals that processes before this daemon's time may have left."""
    from cmfd.daemon.journals import found_by  # noqa: PLC0415 - as in _serve

    known = {
        instance: FoundJournal(instance, uid, journal)
        for instance, uid, journal in store.open_instances()
    }
    there = found_by(settings)
    return tuple({**{item.instance: item for item in there}, **known}.values())
