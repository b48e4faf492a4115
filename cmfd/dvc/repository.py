"""A DVC repository: its settings, its cache, and what its DVC noted of files that it hashed."""

from __future__ import annotations

import configparser
import getpass
import hashlib
import json
import os
import re
import sqlite3
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cmfd.client.redact import scrub_url

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMOTE = re.compile(r"""'?remote "(.+)"'?""")
_STATE_VERSION = 1
_DVC_VERSION = 3
"""Of DVC and of its notes, as they are read here; with others, files are hashed."""


class Repository:
    """
    A DVC repository, read without DVC.

    Parameters
    ----------
    root : str
        The directory that has `.dvc`.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    @classmethod
    def around(cls, path: str | os.PathLike[str]) -> Repository | None:
        """Return the repository that a path lies in, if any."""
        here = Path(os.path.abspath(path))  # noqa: PTH100 - as DVC knows it: links are not resolved
        roots = (at for at in (here, *here.parents) if (at / ".dvc").is_dir())
        return next((cls(str(root)) for root in roots), None)

    # -- settings --------------------------------------------------------------------------

    @cached_property
    def settings(self) -> dict[str, dict[str, str]]:
        """All settings by section, those of the repository before those of user and system."""
        merged: dict[str, dict[str, str]] = {}
        for path in self._config_files():
            for section, values in _read_config(path).items():
                merged.setdefault(section, {}).update(values)
        return merged

    def _config_files(self) -> Iterator[Path]:
        environ, home = os.environ, Path("~").expanduser()
        yield Path(environ.get("DVC_SYSTEM_CONFIG_DIR", "/etc/xdg/dvc")) / "config"
        own = Path(environ.get("XDG_CONFIG_HOME", home / ".config")) / "dvc"
        yield Path(environ.get("DVC_GLOBAL_CONFIG_DIR", own)) / "config"
        yield Path(self.root, ".dvc", "config")
        yield Path(self.root, ".dvc", "config.local")

    @property
    def cache(self) -> Path:
        """Where its cache keeps content by MD5."""
        configured = self.settings.get("cache", {}).get("dir", "")
        base = Path(self.root, ".dvc")
        return (base / configured if configured else base / "cache") / "files" / "md5"

    def remote(self, name: str = "") -> tuple[str, str]:
        """Return name and URL, without secrets, of a remote, else of the default one."""
        name = name or self.settings.get("core", {}).get("remote", "")
        url = self.settings.get(f"remote {name}", {}).get("url", "") if name else ""
        return (name, scrub_url(url)) if url else ("", "")

    # -- content ---------------------------------------------------------------------------

    def object(self, md5: str) -> Path:
        """Return where the cache has content, if it has it."""
        return self.cache / md5[:2] / md5[2:]

    def members(self, md5: str) -> dict[str, str] | None:
        """Return the MD5 of each file of a directory by its path in there, if they are known."""
        try:
            listing = self.object(md5).read_bytes()
            if hashlib.new("md5", listing, usedforsecurity=False).hexdigest() + ".dir" != md5:
                return None
            return {str(item["relpath"]): str(item["md5"]) for item in json.loads(listing)}
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def is_unchanged(self, path: str, md5: str) -> bool:
        """
        Tell whether a file certainly holds what it held when DVC hashed it.

        By DVC's own rule: inode, size and time of modification are those that it noted then; or the
        file is a link to what lies write-protected in the cache.
        """
        try:
            found = os.stat(path)  # noqa: PTH116 - the times are wanted as DVC takes them
        except OSError:
            return False
        with suppress(OSError):
            kept = self.object(md5).stat()
            if os.path.samestat(kept, found) and not kept.st_mode & 0o222:
                return True
        return self._noted(path) == (_mark(found), md5)

    def _noted(self, path: str) -> tuple[str, str] | None:
        """Return the mark and the MD5 that DVC noted of a file."""
        if self._notes is None:
            return None
        own = os.path.realpath(self.root) + path.removeprefix(self.root)
        with suppress(sqlite3.Error, ValueError, TypeError, KeyError):
            query = "SELECT value FROM Cache WHERE key = ? AND raw = 1"
            row = self._notes.execute(query, (own,)).fetchone()
            note: dict[str, Any] = json.loads(row[0]) if row else {}
            if note.get("version") == _STATE_VERSION:
                return str(note["checksum"]), str(note["hash_info"]["md5"])
        return None

    @cached_property
    def _notes(self) -> sqlite3.Connection | None:
        """Return DVC's database of what this user's processes hashed here, on this node."""
        path = self._notes_path()
        # Where it lies, others may write: what is not this user's own is not believed.
        with suppress(sqlite3.Error, OSError):
            if path is None or path.stat().st_uid != os.geteuid():
                return None
            uri = f"file:{quote(os.fsencode(path))}?mode=ro"
            db = sqlite3.connect(uri, uri=True, timeout=1.0)
            db.execute("PRAGMA trusted_schema = OFF")
            return db
        return None

    def _notes_path(self) -> Path | None:
        configured = self.settings.get("core", {}).get("site_cache_dir")
        base = os.environ.get("DVC_SITE_CACHE_DIR") or configured or "/var/tmp/dvc"  # noqa: S108 - DVC's place
        try:
            made_s = os.path.getmtime(f"{self.root}/.dvc/tmp/btime")  # noqa: PTH204 - as DVC takes it
            whose = getpass.getuser()
        except (OSError, KeyError):
            return None
        token = str((os.path.realpath(self.root), None, made_s, whose, _DVC_VERSION, 0))
        name = hashlib.new("md5", token.encode(), usedforsecurity=False).hexdigest()
        return Path(base, "repo", name, "hashes", "local", "cache.db")

    def close(self) -> None:
        """Let go of the database."""
        if (notes := self.__dict__.pop("_notes", None)) is not None:
            closing(notes).__exit__()


def _mark(found: os.stat_result) -> str:
    """Return what DVC knows a file's state by."""
    text = str(([found.st_ino, found.st_mtime, found.st_size],))
    return str(int(hashlib.new("md5", text.encode(), usedforsecurity=False).hexdigest(), 16))


def _read_config(path: Path) -> dict[str, dict[str, str]]:
    """Return a configuration file's settings; paths in it are taken from where it lies."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, default_section="\0")
    try:
        parser.read_string(path.read_text("utf-8"))
    except (OSError, ValueError, configparser.Error):
        return {}
    found: dict[str, dict[str, str]] = {}
    for section in parser.sections():
        remote = _REMOTE.fullmatch(section)
        values = {key: value.strip("\"'") for key, value in parser.items(section)}
        if remote and "://" not in (url := values.get("url", "")) and url:
            values["url"] = os.path.normpath(path.parent / url)
        if section == "cache" and "dir" in values:
            values["dir"] = os.path.normpath(path.parent / values["dir"])
        found[f"remote {remote[1]}" if remote else section] = values
    return found
