"""What everyday commands import: each of these takes 1 to 100 ms of every call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.packs import small_run, write_pack

from cmfd.cli.main import COMMANDS
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.merge.layout import Site

NOBODYS = {
    "asyncio", "base64", "concurrent.futures", "difflib", "getpass", "hmac", "http.client",
    "importlib.metadata", "lark", "logging", "multiprocessing", "numpy", "pandas", "psutil",
    "random", "sqlite_utils", "ssl", "subprocess", "tempfile", "zmq", "zstandard",
    "cmfd.client.execution",
}  # fmt: skip
OF_TABLES = {"getpass", "logging", "random"}
"""What rich imports."""
OF_PUSHES = {"ctypes", "hashlib", "cmfd.merge.inspect"}
"""What reads packs from elsewhere: needed only where there are some."""

PROGRAM = """
import json, sys
before = set(sys.modules)
from cmfd.cli.main import main
sys.argv[0] = "cmfd"
try:
    main()
finally:
    print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Site]:
    """Return a site with a run, and one that it was pushed to."""
    root = tmp_path_factory.mktemp("sites")
    mine, hub = init_site(root / "mine"), init_site(root / "hub")
    merge_site(hub.path)
    merge_site(mine.path, [write_pack(root, small_run(1))])
    imported("push", str(hub.path), "--site", str(mine.path))
    return mine, hub


def imported(*words: str) -> set[str]:
    """Return which modules a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], check=False, capture_output=True, text=True,
        env={**os.environ, "CMFD_NODE_DIR": "/nonexistent"},
    )  # fmt: skip
    found: list[str] = json.loads(done.stderr.splitlines()[-1])
    return set(found)


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (
            ("push", "HUB", "--site", "MINE"),
            NOBODYS | OF_PUSHES | {"dataclasses", "rich", "shutil"},
        ),
        (("merge", "--site", "MINE"), NOBODYS | OF_PUSHES | {"dataclasses", "rich", "shutil"}),
        (("status", "--site", "MINE"), NOBODYS | OF_PUSHES | {"rich"}),
        (("runs", "--site", "MINE"), NOBODYS - OF_TABLES | OF_PUSHES),
        (("--version",), NOBODYS | OF_PUSHES | {"dataclasses", "msgspec", "rich", "sqlite3"}),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)
def test_an_everyday_command_imports_nothing_that_it_does_without(
    sites: tuple[Site, Site], words: tuple[str, ...], refused: set[str]
) -> None:
    """Half of what a short command takes is reading in modules."""
    known = {"MINE": str(sites[0].path), "HUB": str(sites[1].path)}
    found = imported(*(known.get(word, word) for word in words))
    assert not sorted(refused & found)
    others = {f"cmfd.cli.{name.replace('-', '_')}" for name in COMMANDS} - {f"cmfd.cli.{words[0]}"}
    assert not others & found


def test_a_push_of_a_run_imports_what_reads_it_and_no_more(
    sites: tuple[Site, Site], tmp_path: Path
) -> None:
    """The process that reads the pack is a copy of the command, and no Python that starts anew."""
    mine, hub = sites
    merge_site(mine.path, [write_pack(tmp_path, small_run(2))])
    found = imported("push", str(hub.path), "--site", str(mine.path))
    assert found >= OF_PUSHES
    assert not (NOBODYS | {"dataclasses", "rich", "shutil"}) & found


def test_what_goes_on_for_long_collects_its_garbage_as_any_python_does() -> None:
    """Only who is done before long is spared that."""
    program = """
import gc
from cmfd.cli import main
main.cli = lambda **_: None
main.main()
first = gc.get_threshold()[0]
many = [[] for _ in range(first + 1)]
print(first, gc.get_threshold()[0])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    first, later = map(int, done.stdout.split())
    assert first > later
