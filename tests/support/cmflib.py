"""The same programs under CMF's own library and under cmfd, and what came of each, to compare."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PYTHON = "CMFD_CMFLIB_PYTHON"
"""Names a Python that has CMF's own library."""

SOURCES = "CMFD_CMF_SOURCES"
"""Names a checkout of CMF, for its examples."""

MODULES = "CMFD_CMF_MODULES"
"""
Names directories in which programs of both sides find modules first.

CMF's `query.py` asks Pandas for what it refuses since its release 3: one from before must be there.
"""

DICE = """
import random
import sys

import numpy

numpy.random.seed(3)
_dice = random.Random(3)


def _thrown(name):
    others, own = getattr(random, name), getattr(_dice, name)

    def throw(*args):
        is_program = sys._getframe(1).f_globals.get("__name__") == "__main__"
        return (own if is_program else others)(*args)

    return throw


for _name in ("choice", "randint", "random", "randrange", "seed"):
    setattr(random, _name, _thrown(_name))
"""
"""
A `sitecustomize`: programs that throw dice come to the same on both sides.

What libraries throw while they are imported does not count.
"""

REMOTE = "https://git.example.org/study.git"
_NAMED = {"GIT_AUTHOR_NAME": "ada", "GIT_COMMITTER_NAME": "ada"}
_MAILED = {"GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_EMAIL": "ada@example.org"}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENVIRONMENT = re.compile(r"python_env_\w+")
_OWN_BYTES = frozenset(("Environment", "Dataslice", "Step_Metrics", "Metrics"))
"""Artifacts whose content is of the library's making, with its Pandas and its UUIDs."""


_OWN_COLUMNS = frozenset(
    ("id", "Context_ID", "Pipeline_id", "Execution_uuid", "custom_properties_Python_Env")
)


@dataclass
class Side:
    """
    A working directory with git, in which programs run under one of the libraries.

    Parameters
    ----------
    path : Path
        Of the working directory; CMF calls a pipeline without a name as that is called.
    environ : dict
        Added to the environment.
    """

    path: Path
    environ: dict[str, str] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    """How long each program ran."""
    printed: dict[str, str] = field(default_factory=dict)

    def prepare(self, files: Mapping[str, str]) -> None:
        """Make the directory, with files in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)

    def call(self, *words: str) -> str:
        """Run a command to its end, and return what it printed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CMFD_")}
        done = subprocess.run(
            words, cwd=self.path, capture_output=True, text=True, check=False,
            env={**kept, **_NAMED, **_MAILED, "PYTHONWARNINGS": "ignore", **self.environ},
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout

    def run(self, *words: str) -> None:
        """Run a program, and take the time."""
        began_s = time.monotonic()
        self.printed[" ".join(words)] = self.call(*self.python(), *words)
        self.took_s[" ".join(words)] = time.monotonic() - began_s

    def python(self) -> tuple[str, ...]:
        """Return what programs are run by."""
        raise NotImplementedError

    def exported(self, pipeline: str) -> dict[str, Any]:
        """Return a pipeline as it is exported."""
        raise NotImplementedError

    def _only(self, export: str) -> dict[str, Any]:
        """Return the only pipeline of an export, which does not tell where the two sides are."""
        (pipeline,) = json.loads(export.replace(f"{self.path}/", ""))["Pipeline"]
        found: dict[str, Any] = pipeline
        return found


@dataclass
class Real(Side):
    """CMF's own library."""

    server: str = "http://127.0.0.1:9"

    def prepare(self, files: Mapping[str, str]) -> None:
        """Make the directory, with the repository and the remotes that CMF insists on."""
        self.environ["PATH"] = f"{Path(os.environ[PYTHON]).parent}:{os.environ['PATH']}"
        super().prepare(files)
        store = self.path.parent / "store"
        self.call(
            "cmf", "init", "local", "--path", str(store), "--git-remote-url", REMOTE,
            "--cmf-server-url", self.server,
        )  # fmt: skip

    def python(self) -> tuple[str, ...]:
        """Return the Python that has it."""
        return (os.environ[PYTHON],)

    def exported(self, pipeline: str, store: str = "mlmd") -> dict[str, Any]:
        """Return a pipeline as it is exported of a store, by default that of the programs."""
        out = self.path.parent / f"{Path(store).name}-{pipeline}.json"
        out.unlink(missing_ok=True)  # else it stays as it is
        self.call("cmf", "metadata", "export", "-p", pipeline, "-j", str(out), "-f", store)
        return self._only(out.read_text("utf-8"))

    def passed_on(self, pipelines: Iterable[str]) -> None:
        """Check that their store comes through a site as it is, as CMF's own export shows."""
        site, store = str(self.path.parent / "passing"), str(self.path.parent / "passed")
        cmfd = (sys.executable, "-m", "cmfd")
        self.call(*cmfd, "import", "mlmd", "mlmd", "--site", site)
        self.call(*cmfd, "export", "mlmd", store, "--site", site)
        for pipeline in pipelines:
            said = self.exported(pipeline)
            chosen = ("--pipeline", pipeline, "--site", site)
            assert self._only(self.call(*cmfd, "export", "cmf", *chosen)) == said
            assert self.exported(pipeline, store) == said


@dataclass
class Ours(Side):
    """What this package has in its place."""

    options: tuple[str, ...] = ()
    """Of `cmfd run`."""

    def prepare(self, files: Mapping[str, str]) -> None:
        """Make the directory, and a site beside it."""
        above = self.path.parent
        self.environ |= {"CMFD_SITE": str(above / "site"), "CMFD_NODE_DIR": str(above / "node")}
        self.environ |= {"CMFD_AUTOSTART": "false", "CMFD_STRICT": "true"}
        super().prepare(files)
        self.call("git", "init", "-q", ".")
        self.call("git", "commit", "-q", "--allow-empty", "-m", "begin")
        self.call("git", "remote", "add", "origin", REMOTE)

    def keep_in_dvc(self, store: Path) -> None:
        """Have DVC store what programs log, in a repository with a remote."""
        self.options = ("--dvc", "add")
        self.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.call("dvc", "init", "-q")
        self.call("dvc", "remote", "add", "-q", "-d", "store", str(store))
        self.call("git", "commit", "-q", "-m", "data")

    def python(self) -> tuple[str, ...]:
        """Return what runs a program as it is."""
        cmfd = (sys.executable, "-m", "cmfd", "run", "--cmf-compat", *self.options, "-q", "--")
        return (*cmfd, sys.executable)

    def exported(self, pipeline: str) -> dict[str, Any]:
        """Return a pipeline as it is exported."""
        words = (sys.executable, "-m", "cmfd", "export", "cmf", "--pipeline", pipeline)
        return self._only(self.call(*words))


def prepare_dice(side: Side, *modules: str) -> None:
    """Have programs of a side throw the same dice as those of the other, and find modules."""
    dice = side.path.parent / "dice"
    dice.mkdir()
    (dice / "sitecustomize.py").write_text(DICE)
    paths = (os.environ.get(MODULES, ""), *modules, str(dice))
    side.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def both(
    path: Path, name: str, files: Mapping[str, str], source: Path | None = None
) -> tuple[Real, Ours]:
    """Make the two sides; `source` is a directory whose content goes into both."""
    sides = Real(path / "real" / name), Ours(path / "ours" / name)
    for side in sides:
        if source is not None:
            shutil.copytree(source, side.path)
        side.prepare(files)
    return sides


def tables(printed: str) -> list[list[dict[str, str]]]:
    """
    Return the tables that a program printed by `tabulate`, row by row.

    Left out: numbers and UUIDs, which are each library's own, and its list of what is installed.
    """
    found: list[list[dict[str, str]]] = []
    names: list[str] = []
    for line in printed.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            names = names if line.startswith(("+", "|")) else []
        elif not set(line) - set("|-+"):
            continue
        elif not names:
            names = cells
            found.append([])
        else:
            row = dict(zip(names, cells, strict=True))
            found[-1].append({name: cell for name, cell in row.items() if name not in _OWN_COLUMNS})
    return found


def told(sides: Iterable[Side]) -> str:
    """Return how long the programs took on each side, in seconds."""
    real, ours = (side.took_s for side in sides)
    rows = [f"{real[name]:8.2f} {ours[name]:8.2f}  {name}" for name in real]
    total = f"{sum(real.values()):8.2f} {sum(ours.values()):8.2f}  together"
    return "\n".join(("    CMF     cmfd  program (s)", *rows, total))


def graph_of(pipeline: Mapping[str, Any]) -> list[Any]:
    """
    Return the lineage graph of an exported pipeline, without what is each library's own.

    Left out: numbers, times, UUIDs, commits, where a store keeps content, the digests of what the
    library itself writes, and the digits of floats behind the sixth.
    """
    found: list[Any] = [("pipeline", pipeline["type"], pipeline["name"], _values(pipeline))]
    for stage in pipeline["stages"]:
        found.append(("stage", stage["type"], stage["name"], _values(stage)))
        for one in stage["executions"]:
            known = one["properties"]
            said = {name: known[name] for name in ("Execution_type_name", "Context_Type")}
            said |= {"Pipeline_Type": known["Pipeline_Type"], "Git_Repo": known["Git_Repo"]}
            said |= {"Execution": _words(known["Execution"])}
            events = sorted(map(_event, one["events"]), key=repr)
            names = tuple(sorted(known))
            found.append(
                (stage["name"], one["type"], one["name"], names, said, _values(one), events)
            )
    return sorted(found, key=repr)


def _words(command: str) -> str:
    return re.sub(r"/[\w./-]*/(?=[\w-]+\.py)", "", command)


def _event(event: Mapping[str, Any]) -> tuple[Any, ...]:
    one = event["artifact"]
    kind, uri = one["type"], one["uri"]
    name = one["name"].partition(f":{uri}")[0] if kind != "Metrics" else one["name"].split(":")[0]
    name = _ENVIRONMENT.sub("python_env", _UUID.sub("UUID", name))
    properties = one["properties"]
    said = {
        key: value for key, value in properties.items()
        if key.startswith("model_") or (key == "git_repo" and kind not in _OWN_BYTES)
    }  # fmt: skip
    # Of labels CMF gives only the path.
    if "url" in properties and kind not in _OWN_BYTES and kind != "Label":
        said["url"] = sorted({url.partition(":")[0] for url in properties["url"].split(",")})
    own = kind in _OWN_BYTES
    return event["type"], kind, name, None if own else uri, said, _values(one)


def _values(node: Mapping[str, Any]) -> dict[str, str]:
    """Return custom properties as CMF keeps them: of floats, texts of six digits."""
    return {
        key: _ENVIRONMENT.sub("python_env", _text(value))
        for key, value in sorted(node["custom_properties"].items())
    }


def _text(value: Any) -> str:
    return repr(round(value, 6)) if isinstance(value, float) else str(value)
