"""
What naming a file costs the program, how fast content is read, and what being watched costs.

    python benchmarks/bench_artifacts.py
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import figures

from cmfd.cli.observe import Observer, Rules
from cmfd.content.files import hash_path

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST_BYTES = 256 << 20
SHARED_BYTES = 64 << 20
N_PROCESSES = 256
AT_ONCE = 32
"""Of them; as many as a small machine starts in reasonable time."""

INPUT = """
import statistics, sys, time
import cmfd
took = []
with cmfd.start("bench", "input") as ex:
    for _ in range(500):
        before = time.perf_counter()
        ex.input(sys.argv[1])
        took.append(time.perf_counter() - before)
        time.sleep(0.002)  # as a program that reads it
print(statistics.median(took) * 1e6)
"""

SHARED = """
import sys
import cmfd
from cmfd.client.session import session
with cmfd.start("bench", "shared") as ex:
    ex.input(sys.argv[1])
session().close()
for line in open("/proc/self/io"):
    if line.startswith("rchar"):
        print(line.split()[1])
"""

OPEN = """
import sys, time
names = [f"{sys.argv[1]}/f{n}" for n in range(2000)]
for _ in range(2):
    before = time.perf_counter()
    for name in names:
        open(name).close()
    print((time.perf_counter() - before) / len(names) * 1e6)
"""


def python(code: str, *arguments: str, env: dict[str, str]) -> list[float]:
    """Run a program that prints numbers."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, check=True, capture_output=True
    )
    return [float(word) for word in done.stdout.split()]


def digest_speeds(path: Path) -> tuple[float, float]:
    """Return bytes a second: what identifies a file, and MD5 alone over the same bytes."""

    def ours() -> float:
        begun = time.perf_counter()
        hash_path(path)
        return time.perf_counter() - begun

    def alone() -> float:
        digest = hashlib.md5(usedforsecurity=False)
        begun = time.perf_counter()
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(1 << 22):
                digest.update(chunk)
        return time.perf_counter() - begun

    ours_s, alone_s, _ = figures.in_turn(ours, alone, 5)
    return DIGEST_BYTES / ours_s / 1e6, DIGEST_BYTES / alone_s / 1e6


def digest_work(path: Path, clock: Callable[[], float]) -> tuple[float, float]:
    """Return bytes a second of a clock: what identifies a file, and its two digests in turn."""

    def work_s(ask: Callable[[], object]) -> float:
        begun = clock()
        ask()
        return clock() - begun

    def both() -> None:
        digests = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(1 << 22):
                for digest in digests:
                    digest.update(chunk)

    ours_s, both_s, _ = figures.in_turn(
        lambda: work_s(lambda: hash_path(path)), lambda: work_s(both), 5
    )
    return DIGEST_BYTES / ours_s / 1e6, DIGEST_BYTES / both_s / 1e6


def readers(path: Path, env: dict[str, str]) -> int:
    """Start many processes that name one file, and count those that read it."""
    n_readers = 0
    for _ in range(N_PROCESSES // AT_ONCE):
        command = [sys.executable, "-c", SHARED, str(path)]
        started = [
            subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(AT_ONCE)
        ]
        for process in started:
            said, _ = process.communicate()
            n_readers += int(said) > SHARED_BYTES
    return n_readers


def opening(directory: Path, env: dict[str, str]) -> list[tuple[float, float]]:
    """Return microseconds, watched and not, to open a file first and again."""
    directory.mkdir()
    for n in range(2000):
        (directory / f"f{n}").touch()
    bare, watched = [], []
    for _ in range(5):
        bare.append(python(OPEN, str(directory), env=env))
        observer = Observer(Rules(()))
        watched.append(python(OPEN, str(directory), env=observer.environ(env)))
        observer.found([])
    return [
        (statistics.median(row[at] for row in watched), statistics.median(row[at] for row in bare))
        for at in (0, 1)
    ]


def main() -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        env = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
            "CMFD_NODE_DIR": f"{directory}/node",
            "CMFD_SITE": f"{directory}/site",
            "CMFD_AUTOSTART": "false",
        }
        large, shared = directory / "large", directory / "shared"
        for path, size in ((large, DIGEST_BYTES), (shared, SHARED_BYTES)):
            path.write_bytes(os.urandom(1 << 20) * (size >> 20))
            os.utime(path, ns=(0, 0))
        ours, alone = digest_speeds(large)
        wall, both_wall = digest_work(large, time.perf_counter)
        work, both = digest_work(large, time.process_time)
        large.unlink()
        time.sleep(2.1)  # what was changed just now is not trusted to be known
        n_readers = readers(shared, env)
        (input_us,) = python(INPUT, str(shared), env=env)
        (first, first_bare), (again, again_bare) = opening(directory / "many", env)
        watched = Observer(Rules(()))
        bare = [sys.executable, "-c", ""]
        started, start_bare, _ = figures.in_turn(
            lambda: figures.wall_s(bare, watched.environ(env)), lambda: figures.wall_s(bare, env)
        )
        watched.found([])
    itself = "the bound itself"
    figures.finish([
        figures.line("input() of a known file", input_us, "us", 200, itself, 1),
        figures.line(
            "identity of a file", wall, "MB/s", both_wall, "MD5 and SHA-256", 0.8, at_least=True
        ),
        figures.line(
            "the same, by CPU time", work, "MB/s", both, "MD5 and SHA-256", 0.8, at_least=True
        ),
        figures.line(
            "the same, given a second core", ours, "MB/s", alone, "MD5 alone", 0.8, at_least=True
        ),
        figures.line(f"reads, {N_PROCESSES} processes, 1 input", n_readers, "reads", 1, itself, 1),
        figures.line("--auto-io: first open adds", first - first_bare, "us", 50, itself, 1),
        figures.line("--auto-io: opening again adds", again - again_bare, "us", 5, itself, 1),
        figures.line(
            "--auto-io: start of a Python adds", (started - start_bare) * 1e3, "ms", 5, itself, 1
        ),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
