"""
Whose word about remotes counts: a remote has an address to send to, and a command to run there.

In a site that many may write to, any of them could have written `remotes.toml`. A user's own file
counts, root's does, and of anybody else's what the user accepted.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import msgspec

from cmfd import config
from cmfd.errors import ConfigError
from cmfd.store.shared import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cmfd.sync.remotes import Remote

FILE = "accepted-remotes.json"
"""Below the user's own directory, `cmfd.config.user_directory`."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class _Accepted(msgspec.Struct, frozen=True):
    """What of a remote was accepted: all that decides where data go and what is run."""

    url: str
    command: str = ""
    token_file: str = ""


def check(
    remote: Remote,
    file: Path,
    found: os.stat_result,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """
    Do nothing if this user wrote a remote, or accepted it.

    Parameters
    ----------
    remote : Remote
        The remote.
    file : Path
        Where it is from.
    found : os.stat_result
        Of that file, when it was read: by now another may be there.
    environ : mapping
        Environment variables.

    Raises
    ------
    ConfigError
        Somebody else may have written it; nothing was sent or run.
    """
    is_own = found.st_uid in (0, os.geteuid()) and not found.st_mode & _OTHERS_WRITE
    if is_own or _accepted(remote) in _known(environ):
        return
    runs = f" and runs {remote.command!r} there" if remote.command else ""
    whom = "can be written by others" if found.st_uid == os.geteuid() else "is not yours"
    raise ConfigError(
        f"{file} {whom}, and its remote {remote.name} goes to {remote.url}{runs}; nothing was sent"
        f" or run. If that is right: cmfd remote accept {remote.name} --site {file.parent}"
    )


def accept(remote: Remote, environ: Mapping[str, str] = os.environ) -> None:
    """
    Keep that this user trusts a remote as it is now, whoever wrote it.

    Raises
    ------
    ConfigError
        There is no place to keep it.
    """
    path = _path(environ)
    if path is None:
        raise ConfigError("cannot keep what you accept: there is no home directory ($HOME)")
    known = _known(environ) | {_accepted(remote)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(sorted(known, key=msgspec.structs.astuple)))
        path.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}; nothing was accepted") from error


def _accepted(remote: Remote) -> _Accepted:
    return _Accepted(remote.url, remote.command, remote.token_file)


def _known(environ: Mapping[str, str]) -> set[_Accepted]:
    path = _path(environ)
    try:
        return set() if path is None else set(_read(path))
    except FileNotFoundError:
        return set()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; nothing was sent. Remove it, and accept remotes again"
        ) from error


def _read(path: Path) -> list[_Accepted]:
    return msgspec.json.decode(path.read_bytes(), type=list[_Accepted])


def _path(environ: Mapping[str, str]) -> Path | None:
    directory = config.user_directory(environ)
    return None if directory is None else directory / FILE
