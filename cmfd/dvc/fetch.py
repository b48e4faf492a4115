"""
Bringing back the bytes of artifacts: from where they still are, DVC's cache, or DVC's remote.

Whatever the source, content is read again before it gets its name: what has another digest is left
out. Nothing that is there is overwritten.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cmfd.content.files import hash_path, states_below
from cmfd.dvc.program import dvc
from cmfd.dvc.repository import Repository
from cmfd.errors import DvcError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cmfd.query.kept import Kept

MD5 = "md5:"
_LEFT_OUT = frozenset(("cache", "state", "index", "db"))
"""Sections of a repository's settings that are about the repository and not its remotes."""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an artifact that was wanted."""

    digest: str
    target: str
    source: str = ""
    """``there already``, the path it was copied from, ``cache`` or the remote it came from."""
    problem: str = ""
    """Why it is not there, or nothing."""


class Source(NamedTuple):
    """A remote, and the settings by which DVC comes to it."""

    name: str
    settings: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Sections of a configuration file."""

    @classmethod
    def of(cls, sections: Mapping[str, Mapping[str, str]], name: str) -> Source:
        """Make one of these sections."""
        items = sorted((key, tuple(sorted(values.items()))) for key, values in sections.items())
        return cls(name, tuple(items))

    def text(self) -> str:
        """Write the configuration file."""
        lines = []
        for section, values in self.settings:
            kind, _, name = section.partition(" ")
            lines.append(f"['{kind} \"{name}\"']" if name else f"[{section}]")
            lines += [f"    {key} = {value}" for key, value in values]
        return "\n".join(lines) + "\n"


class _Want:
    """An artifact on its way."""

    def __init__(self, kept: Kept, directory: Path) -> None:
        self.kept = kept
        self.md5 = kept.digest.removeprefix(MD5)
        self.target = directory / _name(kept)
        self.done: Fetched | None = None
        self.tried: list[str] = []

    def take(self, path: Path, source: str) -> None:
        """Give content that is beside the target its name, if it is what was wanted."""
        found = hash_path(path)
        if found.digest != self.kept.digest:
            self.tried.append(f"{source} has something else ({found.problem or found.digest})")
            return
        try:
            if os.path.lexists(self.target):
                self.end(problem=f"{self.target} has come into being meanwhile")
                return
            path.rename(self.target)
        except OSError as error:
            self.end(problem=f"cannot write {self.target}: {error.strerror}")
            return
        self.end(source=source)

    def end(self, *, source: str = "", problem: str = "") -> None:
        """Say what became of it."""
        self.done = Fetched(
            digest=self.kept.digest, target=str(self.target), source=source, problem=problem
        )


def fetch(
    wanted: Iterable[Kept], directory: Path, repository: Repository | None = None
) -> list[Fetched]:
    """
    Bring content into a directory.

    Parameters
    ----------
    wanted : iterable of Kept
        What to bring. Each goes where its path says, if that is relative and leads nowhere else.
    directory : Path
        Where to; made if missing.
    repository : Repository, optional
        A DVC repository to look in first.

    Returns
    -------
    list of Fetched
        In the order in which they were wanted.

    Raises
    ------
    OSError
        The directory cannot be made.
    """
    directory.mkdir(parents=True, exist_ok=True)
    wants = [_Want(kept, directory) for kept in wanted]
    for want in wants:
        _look_at_target(want)
        if want.done is None:
            _copy_from_places(want)
    repositories = _repositories(wants, repository)
    for want in wants:
        for one in repositories if want.done is None else ():
            _copy_from_cache(want, one)
    for source, some in _sources(wants, repositories):
        _pull(source, [want for want in some if want.done is None], directory)
    for want in wants:
        if want.done is None:
            want.end(problem="; ".join(want.tried) or "nothing is known of where it may be")
    return [want.done for want in wants if want.done is not None]


def _name(kept: Kept) -> str:
    """Return where in the directory content goes: nothing that was recorded leads out of it."""
    path = os.path.normpath(kept.path or "artifact")
    if os.path.isabs(path) or path.split("/")[0] in ("..", "."):  # noqa: PTH117 - text
        path = path.rpartition("/")[2]
    return path if path not in ("", ".", "..") else kept.digest.replace(":", "-")


def _look_at_target(want: _Want) -> None:
    if not want.kept.digest.startswith(MD5):
        want.end(problem="it is known by no digest of all its bytes, so nothing could be checked")
    elif os.path.lexists(want.target):
        if hash_path(want.target).digest == want.kept.digest:
            want.end(source="there already")
        else:
            want.end(problem=f"{want.target} is there and holds something else; it was left alone")


@contextmanager
def _beside(want: _Want) -> Iterator[Path]:
    """Give a name beside the target; what is left there in the end is removed."""
    want.target.parent.mkdir(parents=True, exist_ok=True)
    partial = want.target.with_name(f".cmfd-pull-{secrets.token_hex(8)}")
    try:
        yield partial
    finally:
        if partial.is_dir() and not partial.is_symlink():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def _copy_from_places(want: _Want) -> None:
    """Copy it from where it was seen, if it still is there."""
    for place in want.kept.places:
        if want.done is not None or not Path(place).exists():
            continue
        if Path(place).is_dir() != want.md5.endswith(".dir"):
            continue
        _copy(want, _files_of(place), place)
    if want.done is None and want.kept.places:
        want.tried.append(f"it is no longer at {want.kept.places[0]}")


def _files_of(place: str) -> list[tuple[str, Path]]:
    """Return the files to copy, by their names below the target; the file itself has none."""
    if not Path(place).is_dir():
        return [("", Path(place))]
    return [
        (name.lstrip("/"), Path(place, name.lstrip("/")))
        for name, found in states_below(place.rstrip("/"))
        if not stat.S_ISDIR(found.st_mode)
    ]


def _copy(want: _Want, files: Sequence[tuple[str, Path]], source: str) -> None:
    """Copy files beside the target, and take what came of it."""
    try:
        with _beside(want) as partial:
            if want.md5.endswith(".dir"):
                partial.mkdir()
            for name, path in files:
                target = partial / name if name else partial
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            want.take(partial, source)
    except OSError as error:
        want.tried.append(f"{source}: {error.strerror}: {error.filename}")


def _repositories(wants: Sequence[_Want], first: Repository | None) -> list[Repository]:
    """Return the DVC repositories on this machine that may have something."""
    roots = [first.root] if first else []
    roots += [one.get("root", "") for want in wants for one in want.kept.tracked]
    there = [root for root in dict.fromkeys(roots) if root and Path(root, ".dvc").is_dir()]
    return [Repository(root) for root in there]


def _copy_from_cache(want: _Want, repository: Repository) -> None:
    if want.done is not None or not repository.object(want.md5).exists():
        return
    files = [("", repository.object(want.md5))]
    if want.md5.endswith(".dir"):
        members = repository.members(want.md5) or {}
        if any(name.startswith("/") or ".." in name.split("/") for name in members):
            return
        files = [(name, repository.object(md5)) for name, md5 in members.items()]
    _copy(want, files, "cache")


def _sources(
    wants: Sequence[_Want], repositories: Sequence[Repository]
) -> Iterator[tuple[Source, list[_Want]]]:
    """Yield remotes to ask, each with what it may have."""
    missing = [want for want in wants if want.done is None]
    asked = set()
    for repository in repositories:
        sections = {
            key: values
            for key, values in repository.settings.items() if key not in _LEFT_OUT
        }  # fmt: skip
        default, _ = repository.remote()
        named = [one.get("remote", "") for want in missing for one in want.kept.tracked]
        for name in dict.fromkeys([default, *named]):
            if f"remote {name}" in sections:
                core = {"remote": name}
                asked.add(repository.remote(name)[1])
                yield Source.of({**sections, "core": core}, name), missing
    known = {
        (one["url"], one.get("remote", "remote")): want
        for want in missing for one in want.kept.tracked if one.get("url")
    }  # fmt: skip
    for url, name in known:
        if url not in asked:
            some = [
                want for want in missing if url in [one.get("url") for one in want.kept.tracked]
            ]
            yield Source.of({"core": {"remote": name}, f"remote {name}": {"url": url}}, name), some


def _pull(source: Source, wants: Sequence[_Want], directory: Path) -> None:
    """Have DVC bring content from a remote, in a repository of its own that is removed again."""
    if not wants:
        return
    with tempfile.TemporaryDirectory(prefix=".cmfd-pull-", dir=directory) as scratch:
        place = Path(scratch)
        own = {"DVC_SITE_CACHE_DIR": str(place / "notes")}
        try:
            problem = dvc(["init", "--no-scm"], place, own)
            if not problem:
                (place / ".dvc" / "config.local").write_text(source.text(), "utf-8")
                for number, want in enumerate(wants):
                    text = f"outs:\n- md5: '{want.md5}'\n  hash: md5\n  path: c{number}\n"
                    (place / f"c{number}.dvc").write_text(text, "utf-8")
                problem = dvc(["pull", *(f"c{n}.dvc" for n in range(len(wants)))], place, own)
        except DvcError as error:
            problem = str(error)
        for number, want in enumerate(wants):
            found = place / f"c{number}"
            if found.exists():
                with suppress(OSError):
                    want.target.parent.mkdir(parents=True, exist_ok=True)
                want.take(found, f"remote {source.name}")
            else:
                want.tried.append(f"remote {source.name}: {problem or 'it has no such content'}")
