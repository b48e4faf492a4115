"""
Who may use a site over HTTP: tokens, of which the site keeps only hashes.

A token is 256 random bits, so that one round of SHA-256 is enough: nobody can try them all. What
lies in `tokens.toml` opens nothing.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import re
import secrets
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

import msgspec

from cmfd.errors import ConfigError, NotFoundError
from cmfd.store.shared import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site

Scope = Literal["read", "push", "metrics"]
"""What a token may do: take packs, give packs, ask for figures."""

SCOPES: tuple[Scope, ...] = ("read", "push", "metrics")

FILE = "tokens.toml"

PREFIX = "cmfd_"
"""Begins every token, so that who finds one knows what it is."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HEAD = """\
# Who may use this site over https: `cmfd serve token` reads and writes this file. It has hashes of
# tokens, no token.
"""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a site keeps of a token.

    Attributes
    ----------
    hash : str
        The sha256 of the token, in hexadecimal.
    scopes : list of str
        What it may do.
    pipelines : list of str
        Only with runs of these pipelines; empty: of any.
    created : str
        When it was made, in UTC.
    """

    hash: str
    scopes: list[Scope]
    pipelines: list[str] = []
    created: str = ""


class Bearer(msgspec.Struct, frozen=True):
    """Who came with a token: its name, what it may do, and with which pipelines (none: any)."""

    name: str
    scopes: frozenset[str]
    pipelines: tuple[str, ...] = ()


def path_of(site: Site) -> Path:
    """Return where a site's tokens are."""
    return site.path / FILE


def all_of(site: Site) -> dict[str, Token]:
    """
    Return a site's tokens by name.

    Raises
    ------
    ConfigError
        The file cannot be read.
    """
    path = path_of(site)
    try:
        return msgspec.toml.decode(path.read_bytes(), type=dict[str, Token])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; nobody gets in. Correct it, or remove it and make the"
            " tokens anew: cmfd serve token add"
        ) from error


def add(site: Site, name: str, scopes: list[Scope], pipelines: list[str]) -> str:
    """
    Make a token.

    Parameters
    ----------
    site : Site
        The site.
    name : str
        Whose it is.
    scopes : list of str
        What it may do.
    pipelines : list of str
        Only with these; empty: with any.

    Returns
    -------
    str
        The token, which is kept nowhere.

    Raises
    ------
    ConfigError
        The name is taken or cannot be one, or the file cannot be written; nothing was changed.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a token: letters, digits, . _ @ -")
    token = PREFIX + secrets.token_urlsafe(32)
    created = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    with _turn(site):
        known = all_of(site)
        if name in known:
            raise ConfigError(
                f"there is a token {name!r} already; it was left as it is. Take it back with:"
                f" cmfd serve token remove {name}"
            )
        known[name] = Token(hash=_hash(token), scopes=scopes, pipelines=pipelines, created=created)
        _write(site, known)
    return token


def remove(site: Site, name: str) -> None:
    """
    Take a token back: from now on it opens nothing, also where a server runs.

    Raises
    ------
    NotFoundError
        There is none of that name.
    ConfigError
        The file cannot be read or written.
    """
    with _turn(site):
        known = all_of(site)
        if known.pop(name, None) is None:
            names = ", ".join(sorted(known)) or "none so far"
            raise NotFoundError(f"{site.path} has no token {name!r} (it has: {names})")
        _write(site, known)


@contextmanager
def _turn(site: Site) -> Iterator[None]:
    """Let nobody else change the tokens meanwhile: one that was taken back would be there again."""
    descriptor = os.open(site.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks of directories
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Keyring:
    """
    The tokens of a site that is served; a change of the file counts from the next request on.

    Parameters
    ----------
    site : Site
        The site.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known: dict[str, Token] = {}
        self._stamp: tuple[int, ...] | None = None

    def bearer(self, token: str) -> Bearer | None:
        """
        Return who has a token; None if it is none of the site.

        Raises
        ------
        ConfigError
            The tokens cannot be read: then nobody gets in.
        """
        self._look()
        hashed = _hash(token)
        found = None
        for name, one in self._known.items():  # all of them: how long it takes tells nothing
            if hmac.compare_digest(hashed.encode(), one.hash.encode()):
                found = Bearer(name, frozenset(one.scopes), tuple(one.pipelines))
        return found

    def _look(self) -> None:
        try:
            there = path_of(self._site).stat()
        except OSError:
            self._known, self._stamp = {}, None
            return
        stamp = (there.st_ino, there.st_mtime_ns, there.st_size)
        if stamp != self._stamp:
            self._known = all_of(self._site)
            self._stamp = stamp


def _hash(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _toml(value: object) -> str:
    """Return a text or a list of texts as TOML, where JSON is TOML but for surrogates."""
    return json.dumps(value, ensure_ascii=False)


def _write(site: Site, known: dict[str, Token]) -> None:
    lines = [_HEAD]
    for name, one in sorted(known.items()):
        lines.append(f"[{_toml(name)}]\n")
        fields = msgspec.structs.asdict(one)
        lines += [f"{key} = {_toml(value)}\n" for key, value in fields.items()]
    path = path_of(site)
    try:
        write_whole(path, "".join(lines).encode())
        path.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}; it is as it was") from error
