"""`cmfd run --auto-io`: files that nobody named; and programs that do not notice."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.wrapper import eventually

from cmfd.cli import observe
from cmfd.cli.observe import AUDIT, Observer, Rules
from cmfd.content.files import hash_path
from cmfd.hook import cmfd_auto_io
from cmfd.model import Direction

if TYPE_CHECKING:
    from support.wrapper import Node


def seen(node: Node, script: str, *options: str, python: str = sys.executable) -> dict[str, str]:
    """Run a Python program, and return what became of each file: direction, and how it was seen."""
    (node.cwd / "program.py").write_text(script)
    done = node.cmfd("run", "-q", "--auto-io", *options, "--", python, "program.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return artifacts(node)


def artifacts(node: Node) -> dict[str, str]:
    found = {}
    for one in node.last()["artifacts"]:
        how = (one["properties"] or {}).get("observed", "declared")
        found[one["path"]] = f"{one['direction']} {how}"
    return found


@pytest.mark.slow
def test_a_python_programs_files_are_seen(lone_node: Node) -> None:
    """Read, written, both, renamed; in child processes; not what it removed again."""
    (lone_node.cwd / "data").mkdir()
    (lone_node.cwd / "data" / "in.txt").write_text("1")
    found = seen(
        lone_node,
        """
import multiprocessing, os, pathlib, shutil, subprocess, sys
read = open("data/in.txt").read()
with open("part", "w") as file:
    file.write(read)
os.rename("part", "whole")
os.mkdir("half")
pathlib.Path("half/a").write_text("2")
os.replace("half", "full")
for name in ("gone", "both"):
    pathlib.Path(name).write_text("3")
open("gone").read()
os.remove("gone")
open("both").read()
shutil.copy2("data/in.txt", "copy")
subprocess.run([sys.executable, "-c", "open('child', 'w').close()"], check=True)
if not os.fork():
    open("forked", "wb").close()
    os._exit(0)
os.wait()
""",
    )
    written = ("whole", "full/a", "both", "copy", "child", "forked")
    assert found == {"data/in.txt": "input audit", **dict.fromkeys(written, "output audit")}
    digests = {one["path"]: one["digest"] for one in lone_node.last()["artifacts"]}
    assert digests["whole"] == hash_path(lone_node.cwd / "whole").digest
    assert "observed (audit)" in lone_node.cmfd("show", "last").stdout.decode()


@pytest.mark.slow
def test_programs_do_not_notice(lone_node: Node) -> None:
    """Paths of all sorts, no working directory, all files closed, no variable; path and modules."""
    seen(
        lone_node,
        """
import os, pathlib, sys
assert not any("hook" in path for path in sys.path), sys.path
assert "cmfd" not in sys.modules
for path in (b"bytes", pathlib.Path("path"), "sur\\udcffrogate", "new\\nline"):
    open(path, "w").close()
    open(path).close()
descriptor = os.open("number", os.O_CREAT | os.O_RDWR)
open(descriptor, "w").close()
for wrong in (None, 1.5, "null\\0byte"):
    try:
        open(wrong)
    except (TypeError, ValueError):
        pass
    else:
        raise AssertionError(wrong)
os.closerange(3, 64)
first = os.open("first", os.O_CREAT | os.O_WRONLY)
assert first == 3, first
for n in range(50):
    open(f"many{n}", "w").close()
assert os.fstat(first).st_size == 0
os.environ.clear()
os.mkdir("away")
os.chdir("away")
os.rmdir("../away")
try:
    open("x", "w")
except FileNotFoundError:
    pass
""",
    )
    assert {"bytes", "path", "number", "first", "many49"} <= artifacts(lone_node).keys()


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False], ids=["a sitecustomize of the user's", "none"])
def test_the_users_own_customization_runs(lone_node: Node, *, own: bool) -> None:
    """As it would without: found by PYTHONPATH, under its own name."""
    (lone_node.cwd / "mine").mkdir()
    if own:
        text = "import sys\nsys.mine = __file__\nopen('by-site', 'w').close()\n"
        (lone_node.cwd / "mine" / "sitecustomize.py").write_text(text)
    lone_node.environ["PYTHONPATH"] = "mine"
    script = f"""
import os, sys
assert sys.path[1].endswith("mine"), sys.path
assert hasattr(sys, "mine") is {own}
if {own}:
    import sitecustomize
    assert sitecustomize.__file__ == sys.mine
"""
    assert seen(lone_node, script) == ({"by-site": "output audit"} if own else {})


def test_a_broken_customization_is_told_as_ever(lone_node: Node) -> None:
    """By Python, on standard error; the program runs."""
    (lone_node.cwd / "sitecustomize.py").write_text("import no_such_module\n")
    lone_node.environ["PYTHONPATH"] = str(lone_node.cwd)
    done = lone_node.cmfd("run", "-q", "--auto-io", "--", sys.executable, "-c", "print(1)")
    assert done.stdout == b"1\n"
    assert b"no_such_module" in done.stderr


@pytest.mark.slow
def test_an_isolated_python_is_not_watched(lone_node: Node) -> None:
    """It reads no variable: it runs, and what it does is not seen by way of Python."""
    script = "open('here', 'w').close()"
    done = lone_node.cmfd("run", "-q", "--auto-io", "--", sys.executable, "-I", "-c", script)
    assert done.returncode == 0
    assert (lone_node.cwd / "here").exists()
    assert "output audit" not in artifacts(lone_node).values()


@pytest.mark.slow
def test_files_of_other_programs_are_seen_while_they_are_open(lone_node: Node) -> None:
    """A shell that keeps some open; its own standard output is nobody's."""
    (lone_node.cwd / "in").write_text("1")
    script = """
exec 3<in 4>part 5<>hidden
echo 1 >&4
until [ -e seen ]; do sleep 0.02; done
mv part whole
"""
    out = lone_node.cwd / "log"
    with out.open("wb") as file:
        words = ("run", "-q", "--auto-io", "--io-exclude", "hid*", "--", "sh", "-c", script)
        with lone_node.start(*words, stdout=file) as running:
            time.sleep(2)  # it is looked at, at least once in half a second
            (lone_node.cwd / "seen").touch()
            assert running.wait() == 0
    assert artifacts(lone_node) == {"in": "input sample", "whole": "output sample"}


def test_what_was_declared_is_said_once(lone_node: Node) -> None:
    """Also what is below a directory that was named."""
    (lone_node.cwd / "raw").mkdir()
    (lone_node.cwd / "raw" / "a").write_text("1")
    found = seen(
        lone_node,
        "open('raw/a').read(); open('m.bin', 'w').close(); open('more', 'w').close()",
        "-i", "raw", "-o", "model:m.bin",
    )  # fmt: skip
    assert found == {"raw": "input declared", "m.bin": "output declared", "more": "output audit"}


RULES = [
    ("/work/data.csv", True), ("/work/a/b.h5", True), ("/scratch/x", True), ("/tmp/x", True),
    ("/work/model.pth", True), ("/work/train.py", False), ("/work/lib.so", False),
    ("/work/lib.so.1", False), ("/work/.git/index", False), ("/work/a/.cache/x", False),
    ("/home/ann/.config/x", False), ("/usr/share/zoneinfo/UTC", False), ("/etc/passwd", False),
    ("/opt/conda/lib/python3.11/os.txt", False), ("/opt/v/site-packages/x.json", False),
    ("/proc/meminfo", False), ("/node/journals/x", False), ("/work/x.log", False),
    ("/work/logs/y", False), ("/work/.hidden/keep.bin", True), ("/etc/machine-id", True),
    ("/dev/shm/x", False),
]  # fmt: skip


@pytest.mark.parametrize(("path", "accepted"), RULES)
def test_which_files_count(path: str, accepted: bool) -> None:  # noqa: FBT001 - a column
    """Data, not code, settings or the system's; patterns decide otherwise."""
    include, exclude = ["*/keep.bin", "/etc/machine-id", "/dev/shm/*"], ["*.log", "logs/"]
    rules = Rules(("/node/",), include, exclude, cwd="/work")
    assert rules.accept(path) is accepted


def test_a_hidden_working_directory_hides_nothing() -> None:
    """What is hidden below it is."""
    rules = Rules((), cwd="/home/ann/.jobs/1")
    assert rules.accept("/home/ann/.jobs/1/data")
    assert not rules.accept("/home/ann/.jobs/1/.git/x")
    assert not rules.accept("/home/ann/.jobs/2/data")


def watched(tmp_path: Path, *lines: tuple[Any, ...]) -> Observer:
    """Return an observer that was told of files."""
    observer = Observer(Rules((), cwd=str(tmp_path)))
    log = Path(observer.environ({})[cmfd_auto_io.LOG_VARIABLE])
    parts = [(letter, *map(str, rest)) for letter, *rest in lines]
    log.write_bytes(b"".join(b"\0".join(map(os.fsencode, one)) + b"\0\n" for one in parts) + b"w\0")
    return observer


def test_there_is_an_end_to_what_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is told how many more there were."""
    monkeypatch.setattr(observe, "MOST", 2)
    paths = [tmp_path / f"f{n}" for n in range(5)]
    for path in paths:
        path.touch()
    found, n_left = watched(tmp_path, *(("w", -1, -1, path) for path in paths)).found([])
    assert [one.place.named for one in found] == ["f0", "f1"]
    assert n_left == 3


def test_what_was_read_is_as_it_was_then(tmp_path: Path) -> None:
    """Its size and time are those of the moment; it is hashed only if it still has them."""
    path = tmp_path / "in"
    path.write_text("later")
    (found,), _ = watched(tmp_path, ("r", 3, 77, path), ("r", 5, 88, path)).found([])
    assert (found.direction, found.how) == (Direction.INPUT, AUDIT)
    assert found.place[2:] == (3, 77)
    assert found.place.is_changed


def test_what_was_opened_and_left_alone_is_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is open for both was read; nor does a file come of what could not be opened."""
    monkeypatch.setattr(observe, "_CLOCKS_NS", 0)
    old, update = tmp_path / "old", tmp_path / "update"
    for path in (old, update):
        path.touch()
    lines = [("w", -1, -1, old), ("b", -1, -1, update), ("w", -1, -1, tmp_path / "no" / "where")]
    found, _ = watched(tmp_path, *lines).found([])
    assert [(one.direction, one.place.named) for one in found] == [(Direction.INPUT, "update")]


def test_a_file_system_that_does_not_answer_holds_up_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command has ended by then; what it used there is left out, and that is said."""
    answers = threading.Event()
    away = str(tmp_path / "away")
    really = os.path.lexists
    monkeypatch.setattr(
        os.path, "lexists", lambda path: (path == away and answers.wait()) or really(path)
    )
    try:
        with pytest.raises(TimeoutError, match="does not answer"):
            watched(tmp_path, ("w", -1, -1, away)).found([], patience_s=0.1)
    finally:
        answers.set()


LONG = """
import os, sys, time
read = open("in.txt").read()
open("out.txt", "w").write(read)
watcher = os.getppid()
while os.getppid() == watcher:
    time.sleep(0.02)
"""


@pytest.mark.slow
def test_what_was_seen_survives_a_kill_of_the_watcher(lone_node: Node) -> None:
    """What a program had read and written by then, although nobody sorts it out any more."""
    (lone_node.cwd / "in.txt").write_text("a")
    (lone_node.cwd / "program.py").write_text(LONG)
    watcher = lone_node.start("run", "-q", "--auto-io", "--", sys.executable, "program.py")
    journals = lone_node.node_dir / "journals"
    eventually(
        lambda: any(b"out.txt" in one.read_bytes() for one in journals.rglob("*.cmfj")),
        "the word of what was written",
    )
    watcher.kill()
    watcher.wait()
    assert lone_node.cmfd("merge", str(lone_node.node_dir)).returncode == 0
    assert artifacts(lone_node) == {"in.txt": "input audit", "out.txt": "output audit"}


@pytest.mark.slow
def test_what_is_told_early_is_told_once(lone_node: Node) -> None:
    """A command that takes longer has each file once, and what came of it in the end."""
    (lone_node.cwd / "in.txt").write_text("a")
    found = seen(
        lone_node,
        """
import os, time
read = open("in.txt").read()
open("out.txt", "w").write(read)
time.sleep(5)
open("out.txt", "a").write("more")
""",
    )
    assert found == {"in.txt": "input audit", "out.txt": "output audit"}
    assert len(lone_node.last()["artifacts"]) == 2
    digests = {one["path"]: one["digest"] for one in lone_node.last()["artifacts"]}
    assert digests["out.txt"] == hash_path(lone_node.cwd / "out.txt").digest
    tree = lone_node.cmfd("lineage", "up", "out.txt").stdout.decode()
    assert tree.count("observed: ") == 2
