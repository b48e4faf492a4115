"""
Exchange between sites: what it costs to push one new run, and to pull a small part of a site.

And how often a push waits for an answer, where the way there is long.

    python benchmarks/bench_exchange.py [--executions 1000000] [--directory DIR]

Takes a few minutes and 1 GB below DIR (default: where temporary files go), most of both for the
site that already holds a million executions.
"""

from __future__ import annotations

import itertools
import os
import queue
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import figures
from bench_merge import SMALL, fill, make_pack, new_packs, node_rows

from cmfd.merge.batch import merge_site
from cmfd.merge.inspect import shared as readers
from cmfd.merge.layout import init_site, open_site
from cmfd.serve import server
from cmfd.sync import remotes
from cmfd.sync.exchange import fetch, push
from cmfd.sync.http import Wire
from cmfd.sync.https import HttpsPeer
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import Peer, Wanted
from cmfd.sync.stdio import Pipe, StdioPeer

if TYPE_CHECKING:
    from collections.abc import Iterator

Reach = Callable[[float], AbstractContextManager[Peer]]
"""Reaches a site on a way that takes so many seconds there and back."""

RUNS = 7
PART_RUNS = 3
WAY_S = 0.5
PUSH_S = 0.3
N_PART, N_WHOLE = 10, 1000
_numbers = itertools.count()


def push_s(mine: Path, hub: Path) -> tuple[float, float]:
    """Return how long `cmfd push` of one new run takes, start and end included, and its CPU."""
    packs = new_packs(mine.parent / f"new{next(_numbers)}", SMALL, 1)
    merge_site(mine, packs)
    os.sync()
    before = children_cpu_s()
    took_s = figures.wall_s(
        (sys.executable, "-m", "cmfd", "push", "-q", str(hub), "--site", str(mine))
    )
    return took_s, children_cpu_s() - before


def children_cpu_s() -> float:
    """Return the CPU time of all processes that were started and have ended, and of theirs."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def bench_push(root: Path, n_executions: int) -> list[bool]:
    """Compare a push to a large site with one to an empty site."""
    mine, large, empty = root / "mine", root / "large", root / "empty"
    fill(large, n_executions)
    for site in (mine, large, empty):
        init_site(site)
        merge_site(site)
    pairs = [(push_s(mine, large), push_s(mine, empty)) for _ in range(RUNS)]
    (grown, grown_cpu), (small, small_cpu) = (
        [statistics.median(one) for one in zip(*pushes, strict=True)]
        for pushes in zip(*pairs, strict=True)
    )
    name = "push of a run to a large site"
    return [
        figures.line(name, grown, "s", PUSH_S, "the bound itself, s", 1),
        figures.line(name, grown, "s", small, "to an empty one", 1.3),
        # Of a machine that others use, only this says much.
        figures.line(name, grown_cpu, "s CPU", PUSH_S, "the bound itself, s", 1),
        figures.line(name, grown_cpu, "s CPU", small_cpu, "to an empty one", 1.3),
    ]


def packs_of_pipeline(directory: Path, pipeline: str, n_packs: int) -> list[Path]:
    """Make packs, each of a run of its own, all of one pipeline."""
    made = []
    for _ in range(n_packs):
        rows = node_rows(SMALL, os.urandom(16), os.urandom(16))
        rows["execution"] = [(*row[:5], pipeline, *row[6:]) for row in rows["execution"]]
        made.append(make_pack(directory, rows))
    return made


def read_bytes() -> int:
    """Return how many bytes this process, and those of it that ended, have read so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


def fetch_reads(root: Path, hub: Path, pipeline: str) -> int:
    """Return how many bytes `cmfd fetch` of a pipeline reads, with the process that reads packs."""
    site = init_site(root / f"clone{next(_numbers)}")
    merge_site(site.path)
    before = read_bytes()
    words = ("fetch", "-q", str(hub), "--pipeline", pipeline, "--site", str(site.path))
    subprocess.run((sys.executable, "-m", "cmfd", *words), check=True)
    return read_bytes() - before


def bench_part(root: Path) -> list[bool]:
    """Compare fetching a pipeline with one run in a hundred with fetching all."""
    hub = root / "hub"
    part = packs_of_pipeline(root / "packs", "heat", N_PART)
    merge_site(hub, [*part, *new_packs(root / "packs", SMALL, N_WHOLE - N_PART)])
    n_whole_bytes = sum(path.stat().st_size for path in hub.rglob("*") if path.is_file())

    def fetched_s(which: Wanted | None) -> float:
        """Return how long it takes."""
        site = init_site(root / f"clone{next(_numbers)}")
        merge_site(site.path)
        remote = remotes.Remote("", str(hub))
        readers.close()
        begun = time.perf_counter()
        done = fetch(site, remote, SitePeer(open_site(hub)), wanted=which)
        took_s = time.perf_counter() - begun
        assert done.n_packs == (N_PART if which else N_WHOLE)
        shutil.rmtree(site.path)
        return took_s

    wanted = Wanted('pipeline = "heat"', 0)
    some_s, all_s, _ = figures.in_turn(
        lambda: fetched_s(wanted), lambda: fetched_s(None), PART_RUNS
    )
    # Of the site, and not of Python's own modules, which are what a fetch of nothing reads.
    n_read = fetch_reads(root, hub, "heat") - fetch_reads(root, hub, "no such")
    return [
        figures.line("fetch of 1 % of a site", some_s, "s", all_s, "of all", 0.03),
        figures.line("fetch of 1 % of a site reads", n_read, "bytes", n_whole_bytes, "it", 0.03),
    ]


def carry(read: Callable[[], bytes], write: Callable[[bytes], object], delay_s: float) -> None:
    """Carry bytes from one end to the other, each so long after it came, to the last."""
    under_way: queue.Queue[tuple[float, bytes]] = queue.Queue()

    def deliver() -> None:
        data = b"-"
        with suppress(OSError):
            while data:
                due_s, data = under_way.get()
                time.sleep(max(due_s - time.monotonic(), 0.0))
                write(data)

    threading.Thread(target=deliver, daemon=True).start()
    data = b"-"
    while data:
        try:
            data = read()
        except OSError:
            data = b""
        under_way.put((time.monotonic() + delay_s, data))


@contextmanager
def over_pipes(hub: Path, round_trip_s: float) -> Iterator[Peer]:
    """Reach a site as through an ssh whose connection is there already."""
    words = (sys.executable, "-m", "cmfd", "serve-stdio", str(hub))
    (asked, ask), (answers, answer) = os.pipe(), os.pipe()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        there, here = process.stdin, process.stdout
        assert there is not None
        assert here is not None
        for read, write in (
            (lambda: os.read(asked, 1 << 16), lambda data: passed_on(there, data)),
            (lambda: os.read(here.fileno(), 1 << 16), lambda data: os.write(answer, data)),
        ):
            work = (read, write, round_trip_s / 2)
            threading.Thread(target=carry, args=work, daemon=True).start()
        with os.fdopen(answers, "rb") as incoming, os.fdopen(ask, "wb") as outgoing:
            yield StdioPeer(Pipe(incoming, outgoing, "the server"))


def passed_on(there: IO[bytes], data: bytes) -> None:
    """Write what came, or say that there is no more."""
    if data:
        there.write(data)
        there.flush()
    else:
        there.close()


@contextmanager
def over_http(port: int, round_trip_s: float) -> Iterator[Peer]:
    """Reach a server through what is as slow; connecting itself is not."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            client, _ = listening.accept()
            there = socket.create_connection(("127.0.0.1", port))
            for near, away in ((client, there), (there, client)):
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                work = (partial(near.recv, 1 << 16), partial(handed_on, away), round_trip_s / 2)
                threading.Thread(target=carry, args=work, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with closing(Wire(url, remotes.parse(url), "")) as wire:
            yield HttpsPeer(wire)


def handed_on(there: socket.socket, data: bytes) -> None:
    """Send what came, or say that there is no more."""
    if data:
        there.sendall(data)
    else:
        there.shutdown(socket.SHUT_WR)


def bench_round_trips(root: Path) -> list[bool]:
    """Count how often a push waits for an answer: how much longer it takes on a longer way."""
    hub, mine = init_site(root / "far"), init_site(root / "near")
    merge_site(hub.path)
    made, listening = server.ready(hub, server.Options(needs_token=False))
    threading.Thread(target=made.run, kwargs={"sockets": [listening]}, daemon=True).start()
    port = listening.getsockname()[1]
    ways = {
        "ssh": lambda way_s: over_pipes(hub.path, way_s),
        "http": lambda way_s: over_http(port, way_s),
    }
    kept = []
    for name, reach in ways.items():

        def pushed_s(way_s: float, reach: Reach = reach, name: str = name) -> float:
            merge_site(mine.path, new_packs(root / f"far{next(_numbers)}", SMALL, 1))
            with reach(way_s) as peer:
                peer.about()  # it runs, and the connection is there
                begun = time.perf_counter()
                push(mine, remotes.Remote(name, str(hub.path)), peer)
                return time.perf_counter() - begun

        pushed_s(0.0)  # from now on it is known how far the exchange came
        far, near, _ = figures.in_turn(lambda: pushed_s(WAY_S), lambda: pushed_s(0.0), RUNS)
        trips = (far - near) / WAY_S
        kept.append(figures.line(f"a push over {name} waits", trips, "times", 1.0, "once", 1.3))
    made.should_exit = True
    return kept


def main() -> None:
    """Print the lines."""
    with figures.on_a_large_site(__doc__) as (root, n_executions):
        kept = bench_round_trips(root)
        kept += [*bench_part(root), *bench_push(root, n_executions)]
    figures.finish(kept)


if __name__ == "__main__":
    main()
