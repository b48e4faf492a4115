"""
Which other sites a site exchanges packs with, where they are, and how far the last exchange came.

`remotes.toml` in the site's directory is for people; what lies in `remotes/` is remembered so that
an exchange need not compare all packs, and may be removed at any time.
"""

from __future__ import annotations

import ipaddress
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

from cmfd.errors import ConfigError, NotFoundError
from cmfd.store.shared import write_whole
from cmfd.sync import trust
from cmfd.sync.peer import Place  # noqa: TC001 - msgspec reads it

if TYPE_CHECKING:
    from cmfd.merge.layout import Site

DEFAULT = "origin"
"""What the remote is called that a site was cloned from, and that commands mean without a name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCP_LIKE = re.compile(r"(?P<host>[^/:]+):(?P<path>.+)")
_SSH = re.compile(r"ssh://(?P<host>[^/:]+)(?::(?P<port>[0-9]+))?(?P<path>/.*)")
CMF = ("cmf+http://", "cmf+https://")
"""Begin the address of a server of CMF's: no site, but pipelines go there and come from there."""

_HEAD = """\
# Sites that this one exchanges packs with: `cmfd remote` reads and writes this file.
"""


class Address(NamedTuple):
    """
    Where a site is.

    Attributes
    ----------
    path : str
        Its directory there; of a server, what its addresses begin with.
    host : str
        Another machine; empty if it is a directory of this one.
    port : int or None
        None is ssh's own, or that of https.
    scheme : str
        ``https``, or ``http`` on this machine; of a server of CMF's ``cmf+https`` or ``cmf+http``;
        empty for ssh and directories.
    """

    path: str
    host: str = ""
    port: int | None = None
    scheme: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, for whoever asks."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(url: str) -> Address:
    """
    Understand where a site is.

    Parameters
    ----------
    url : str
        PATH, ``file://PATH``, ``ssh://HOST[:PORT]/PATH``, ``HOST:PATH``, ``https://HOST[:PORT]`` or
        ``cmf+http[s]://HOST[:PORT]``.

    Raises
    ------
    ConfigError
        It is none of these.
    """
    if found := _SSH.fullmatch(url):
        path = found["path"]
        # As in git: ~ and what follows is below the home directory there.
        path = path[1:] if path.startswith("/~") else path
        return _checked(
            Address(path, found["host"], int(found["port"]) if found["port"] else None), url
        )
    if url.startswith("file:///"):
        return Address(url.removeprefix("file://"))
    if url.startswith(("https://", "http://", *CMF)):
        return _of_server(url)
    if "://" in url:
        raise ConfigError(
            f"cannot use {url}: a site's address is PATH, HOST:PATH, ssh://HOST/PATH or"
            " https://HOST"
        )
    if found := _SCP_LIKE.fullmatch(url):
        return _checked(Address(found["path"], found["host"]), url)
    if not url:
        raise ConfigError("an empty address is no site's")
    return Address(url)


def _of_server(url: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"cannot use that address: {error}") from error
    if "@" in parts.netloc:  # which is shown nowhere: it is a secret
        raise ConfigError(
            f"cannot use an address of {parts.hostname} with a password in it: it would be shown,"
            " and kept. Put the token into CMFD_TOKEN or a file: cmfd remote add --token-file"
        )
    if not parts.hostname or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise ConfigError(f"cannot use {url}: a server's address is https://HOST[:PORT][/PATH]")
    address = Address(parts.path.rstrip("/"), parts.hostname, port, parts.scheme)
    if parts.scheme == "http" and not address.is_loopback:
        raise ConfigError(
            f"cannot use {url}: without TLS, whoever is in between reads the token and what is"
            " sent. Use https://"
        )
    return address


def absolute(url: str) -> str:
    """Return an address that is the same wherever a command is run."""
    address = parse(url)
    return url if address.host else str(Path(address.path).expanduser().absolute())


def _checked(address: Address, url: str) -> Address:
    # To ssh it would be an option, and some of its options run commands.
    if address.host.startswith("-") or address.path.startswith("-"):
        raise ConfigError(f"cannot use {url}: no host and no path begins with a hyphen")
    return address


class _Entry(msgspec.Struct, omit_defaults=True):
    """A remote in the file."""

    url: str
    command: str = ""
    token_file: str = ""


class Remote(msgspec.Struct, frozen=True):
    """
    Another site, by the name that it has here.

    Attributes
    ----------
    name : str
        Its name; empty for one that was given by its address alone.
    url : str
        Where it is.
    command : str
        What runs cmfd there, over ssh; empty for ``cmfd``.
    token_file : str
        The file with the token for it, over https; empty: where it usually is.
    """

    name: str
    url: str
    command: str = ""
    token_file: str = ""


class Progress(msgspec.Struct, omit_defaults=True):
    """
    How far the exchange with a remote came.

    Attributes
    ----------
    site : str
        Its id when that was so; for another one, nothing of this counts.
    pushed : Place or None
        Of this site's packs it has all up to here.
    fetched : Place or None
        This site has all of its packs up to here.
    signed, signed_there : int
        It was sent so many of the signatures here, and this site so many of those there.
    pushed_into, fetched_into : Place or None
        The newest pack of who got them, at that time. Where it is gone, that site was put back from
        a copy or its index made anew, and it may lack what it had.
    """

    site: str = ""
    pushed: Place | None = None
    fetched: Place | None = None
    pushed_into: Place | None = None
    fetched_into: Place | None = None
    signed: int = 0
    signed_there: int = 0


def all_of(site: Site) -> list[Remote]:
    """
    Return a site's remotes by name.

    Raises
    ------
    ConfigError
        Its `remotes.toml` cannot be understood.
    """
    return [_remote(name, entry) for name, entry in sorted(_read(site).items())]


def named(site: Site, name: str) -> Remote:
    """
    Return the remote of a name, or the one at an address; a site here goes by its directory's name.

    Raises
    ------
    NotFoundError
        There is none of that name, and it is no address of a directory that is there, nor one of
        another machine.
    ConfigError
        Somebody else may have written it: see `cmfd.sync.trust`.
    """
    entries, found = _read_as(site)
    if found is not None and (entry := entries.get(name)):
        remote = _remote(name, entry)
        trust.check(remote, _file(site), found)
        return remote
    if _NAME.fullmatch(name) and not (Path(name) / "site.toml").exists():
        raise _unknown(site, name)
    parse(name)
    return Remote("", name)


def accept(site: Site, name: str) -> Remote:
    """
    Trust a remote as it is now, whoever wrote it.

    Raises
    ------
    NotFoundError
        There is none of that name.
    ConfigError
        There is no place to keep that.
    """
    entry = _read(site).get(name)
    if entry is None:
        raise _unknown(site, name)
    remote = _remote(name, entry)
    trust.accept(remote)
    return remote


def add(site: Site, remote: Remote) -> None:
    """
    Give a remote a name.

    Raises
    ------
    ConfigError
        The name is taken, or cannot be one, or the address cannot be used; nothing was changed.
    """
    if not _NAME.fullmatch(remote.name):
        raise ConfigError(f"{remote.name!r} is no name for a remote: letters, digits, . _ -")
    entries, found = _read_as(site)
    if remote.name in entries:
        raise ConfigError(
            f"there is a remote {remote.name} at {entries[remote.name].url}."
            f" Change where it is: cmfd remote set-url {remote.name} URL"
        )
    parse(remote.url)
    added = {remote.name: _Entry(remote.url, remote.command, remote.token_file)}
    _write(site, {**entries, **added}, entries, found)


def remove(site: Site, name: str) -> None:
    """
    Forget a remote; packs that came from it stay.

    Raises
    ------
    NotFoundError
        There is none of that name.
    """
    entries, found = _read_as(site)
    if name not in entries:
        raise _unknown(site, name)
    rest = {one: entry for one, entry in entries.items() if one != name}
    _write(site, rest, entries, found)
    _progress_file(site, name).unlink(missing_ok=True)


def set_url(
    site: Site, name: str, url: str, command: str | None = None, token_file: str | None = None
) -> None:
    """
    Say where a remote is now, and what runs cmfd there or has the token for it, unless None.

    Raises
    ------
    NotFoundError
        There is none of that name.
    ConfigError
        The address cannot be used; nothing was changed.
    """
    entries, found = _read_as(site)
    if name not in entries:
        raise _unknown(site, name)
    parse(url)
    said = {"url": url, "command": command, "token_file": token_file}
    changes = {field: value for field, value in said.items() if value is not None}
    changed = {name: msgspec.structs.replace(entries[name], **changes)}
    _write(site, {**entries, **changed}, entries, found)


def _remote(name: str, entry: _Entry) -> Remote:
    return Remote(name, entry.url, entry.command, entry.token_file)


def _unknown(site: Site, name: str) -> NotFoundError:
    known = ", ".join(sorted(_read(site))) or "none so far"
    return NotFoundError(
        f"{site.path} has no remote {name!r} (it has: {known}). Add it: cmfd remote add {name} URL"
    )


def progress(site: Site, remote: Remote) -> Progress:
    """Return how far the exchange with a remote came; nothing, if that is not known."""
    try:
        return msgspec.json.decode(_progress_file(site, remote.name).read_bytes(), type=Progress)
    except (OSError, msgspec.DecodeError):
        return Progress()


def remember(site: Site, remote: Remote, reached: Progress) -> None:
    """Keep how far the exchange came; for one without a name, nothing is kept."""
    # What was exchanged is no less for that: from a site that one may only read, say.
    if remote.name:
        with suppress(OSError):
            write_whole(_progress_file(site, remote.name), msgspec.json.encode(reached))


def _progress_file(site: Site, name: str) -> Path:
    return site.path / "remotes" / f"{name or '-'}.json"


def _file(site: Site) -> Path:
    return site.path / "remotes.toml"


def _read(site: Site) -> dict[str, _Entry]:
    return _read_as(site)[0]


def _read_as(site: Site) -> tuple[dict[str, _Entry], os.stat_result | None]:
    """Return what the file holds, and whose it was when that was read."""
    path = _file(site)
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            return msgspec.toml.decode(file.read(), type=dict[str, _Entry]), found
    except FileNotFoundError:
        return {}, None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f'cannot read {path}: {error}; it must hold [NAME] and url = "..."'
        ) from error


def _write(
    site: Site, entries: dict[str, _Entry], before: dict[str, _Entry], found: os.stat_result | None
) -> None:
    import json  # noqa: PLC0415 - only where remotes change

    # It becomes this user's file, and whatever is in it his word.
    for name, entry in before.items():
        assert found is not None
        trust.check(_remote(name, entry), _file(site), found)
    lines = [_HEAD]
    for name, entry in sorted(entries.items()):
        key = name if _BARE.fullmatch(name) else json.dumps(name)
        lines.append(f"[{key}]\nurl = {json.dumps(entry.url)}\n")
        more = {"command": entry.command, "token_file": entry.token_file}
        lines += [f"{field} = {json.dumps(said)}\n" for field, said in more.items() if said]
    write_whole(_file(site), "".join(lines).encode())
    with suppress(OSError):  # others who may write to the site do not say where this user's data go
        _file(site).chmod(0o644)
