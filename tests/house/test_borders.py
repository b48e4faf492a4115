"""What imports what, what it costs a rank, and how large things may grow."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "cmfd").rglob("*.py"))

SLOW = {
    "asyncio", "click", "codecarbon", "concurrent.futures", "dvc", "hashlib", "logging",
    "mpi4py", "numpy", "pandas", "psutil", "rich", "sqlite3", "sqlite_utils", "subprocess",
    "urllib.request", "zmq", "zstandard",
}  # fmt: skip
"""Modules that a rank must not pay for; some of them its threads import later."""

MOST_MODULE_LINES = 500
MOST_FUNCTION_LINES = 60
MIB = 1 << 20


def in_a_new_process(program: str) -> dict[str, list[str] | int]:
    """Run a program that prints a JSON object; return that."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True)
    found: dict[str, list[str] | int] = json.loads(done.stdout)
    return found


def test_imports_only_go_one_way() -> None:
    """The contracts of pyproject.toml: layers, and what a rank never imports."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as f; f()"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_cmfd_imports_nothing_slow() -> None:
    """Each of these costs a rank 5 to 400 ms."""
    program = "import sys, json, cmfd; print(json.dumps({'modules': list(sys.modules)}))"
    modules = in_a_new_process(program)["modules"]

    assert isinstance(modules, list)
    assert not SLOW & set(modules)


def test_importing_cmfd_takes_little_memory() -> None:
    """At most 15 MiB on top of Python, counted as pages that are the process's own."""
    program = """if True:
    import json
    def private_bytes():
        with open("/proc/self/smaps_rollup") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) * 1024
    before = private_bytes()
    import cmfd
    print(json.dumps({"bytes": private_bytes() - before}))
    """
    taken = in_a_new_process(program)["bytes"]

    assert isinstance(taken, int)
    assert taken <= 15 * MIB


def test_importing_cmfd_touches_nothing() -> None:
    """No thread, no file, no directory, no process before the first record."""
    program = """if True:
    import json, os, sys, threading
    opened = []
    watched = {"os.mkdir", "os.posix_spawn", "socket.connect", "subprocess.Popen", "os.fork"}
    sys.addaudithook(lambda name, args: opened.append(name) if name in watched else None)
    import cmfd
    print(json.dumps({"events": opened, "threads": threading.active_count()}))
    """

    assert in_a_new_process(program) == {"events": [], "threads": 1}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    """Around 150 lines and 8; these are the limits."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_MODULE_LINES

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            doc = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or 0) - node.lineno + 1 - len(doc.splitlines())
            assert lines <= MOST_FUNCTION_LINES, f"{node.name} has {lines} lines"


def test_the_package_can_be_imported_as_another_user() -> None:
    """A cluster's installation is read-only: nothing is written beside the code."""
    program = "import json, sys, cmfd; print(json.dumps({'modules': [cmfd.__version__]}))"
    command = [sys.executable, "-B", "-c", program]
    environ = {**os.environ, "HOME": "/nonexistent"}

    subprocess.run(command, check=True, cwd=ROOT, env=environ, capture_output=True)
