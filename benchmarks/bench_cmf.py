"""
Programs written for CMF under its own library and under cmfd.

    CMFD_CMFLIB_PYTHON=PYTHON python benchmarks/bench_cmf.py [--runs 3]

PYTHON is one that has cmflib 0.1.0; without it, nothing is measured. The same program runs
under both, in a directory with git and what `cmf init local` makes. CMF copies files into DVC's
cache, too, which cmfd does not do unless it is asked to. Takes three minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import figures

PYTHON = "CMFD_CMFLIB_PYTHON"

PROGRAM = """
import json
import sys
import time
from pathlib import Path

from cmflib.cmf import Cmf
from cmflib.cmfquery import CmfQuery

took = {}


def timed(name, count, call):
    began, used = time.perf_counter(), time.process_time()
    for number in range(count):
        call(number)
    took[name] = (time.perf_counter() - began) / count
    took[f"{name}, CPU time"] = (time.process_time() - used) / count


for number in range(5):
    Path(f"data{number}.csv").write_text(f"{number} of {sys.argv[1]}")
writer = Cmf("mlmd", "study")
writer.create_context("train")
timed("create_execution", 2, lambda n: writer.create_execution("train", {"lr": 0.1, "n": n}))
timed("log_dataset", 5, lambda n: writer.log_dataset(f"data{n}.csv", "input"))
timed("log_execution_metrics", 50, lambda n: writer.log_execution_metrics("m", {"a": n, "b": 0.5}))
timed("log_metric", 5000, lambda n: writer.log_metric("course", {"loss": 1 / (n + 1)}))
timed("commit_metrics", 1, lambda n: writer.commit_metrics("course"))
writer.finalize()
query = CmfQuery("mlmd")
timed("a question", 20, lambda n: query.get_all_executions_in_stage("study/train"))
print(json.dumps(took))
"""

BOUNDS = {
    "create_execution": 0.2, "log_dataset": 0.1, "log_execution_metrics": 0.5, "log_metric": 1.0,
    "commit_metrics": 1.0, "a question": 1.0, "a question, CPU time": 1.0,
}  # fmt: skip


class Timed:
    """Runs the program in a directory, again and again."""

    def __init__(self, path: Path, command: list[str], environ: dict[str, str]) -> None:
        self.path, self.command = path, command
        self.environ = {**os.environ, **environ, "GIT_AUTHOR_NAME": "a", "GIT_COMMITTER_NAME": "a"}
        self.environ |= {
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        self.took: list[dict[str, float]] = []
        path.mkdir()
        (path / "program.py").write_text(PROGRAM)

    def call(self, *command: str) -> str:
        """Run a command there; return what it printed."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environ, check=True, capture_output=True, text=True
        )
        return done.stdout

    def cpu_s(self) -> float:
        """Run the program; return the CPU time that it and all that it started took."""
        before = _cpu_s()
        printed = self.call(*self.command, "program.py", str(len(self.took)))
        self.took.append(json.loads(printed.splitlines()[-1]))
        return _cpu_s() - before

    def median_s(self, name: str) -> float:
        """Return how long a call took."""
        return statistics.median(one[name] for one in self.took)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bench_programs(root: Path, python: str, runs: int) -> list[bool]:
    """Compare the program under both libraries: all of it in CPU time, its calls in time."""
    path = f"{Path(python).parent}:{os.environ['PATH']}"
    theirs = Timed(root / "theirs", [python], {"PATH": path})
    theirs.call(
        "cmf", "init", "local", "--path", str(root / "store"), "--git-remote-url",
        "https://git.example.org/study.git", "--cmf-server-url", "http://127.0.0.1:9",
    )  # fmt: skip
    run = [sys.executable, "-m", "cmfd", "run", "--cmf-compat", "-q", "--", sys.executable]
    said = {"CMFD_SITE": str(root / "site"), "CMFD_NODE_DIR": str(root / "node")}
    ours = Timed(root / "ours", run, {**said, "CMFD_AUTOSTART": "false"})
    ours.call("git", "init", "-q", ".")
    ours.call("git", "commit", "-q", "--allow-empty", "-m", "begin")
    mine, other, _ = figures.in_turn(ours.cpu_s, theirs.cpu_s, runs)
    kept = [figures.line("a program of CMF's, CPU time", mine, "s", other, "CMF's library, s", 0.5)]
    for name, bound in BOUNDS.items():
        figure, reference = ours.median_s(name) * 1e3, theirs.median_s(name) * 1e3
        kept.append(figures.line(name, figure, "ms", reference, "CMF's library, ms", bound))
    return kept


def main() -> None:
    """Measure, print, and exit with 1 if a bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        python = os.environ.get(PYTHON)
        kept = bench_programs(Path(directory), python, options.runs) if python else []
    figures.finish(kept)


if __name__ == "__main__":
    main()
