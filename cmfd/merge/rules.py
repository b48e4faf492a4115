"""
Who may push what: `rules.toml` in a site's directory, which its operator keeps.

Without the file, whoever can reach a site may push. With it, a pack from somebody else comes in
only if one of its entries allows it: of this pusher, with runs and notes of these users, of these
pipelines, what is said of these nodes, made for these sites, signed by these people.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from contextlib import closing
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cmfd.errors import ConfigError
from cmfd.merge.index import connect_index, has_index
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from cmfd.merge.inspected import Said
    from cmfd.merge.layout import Site

FILE = "rules.toml"
"""In a site's directory."""

_SERIES = re.compile(r"([0-9a-f]{32})/(-?[0-9]{1,18}),(-?[0-9]{1,18})")
"""Of a process: which, from which on, up to which."""

SELF = "self"
"""Among an entry's users: who pushes."""


class Pusher(NamedTuple):
    """
    Who hands packs over, and who says so.

    Attributes
    ----------
    kind : str
        ``user``: the kernel says so; ``as``: the command that ssh was told to run for a key;
        ``token``: what a server was shown; ``anyone``: nobody, to a server that asks for none.
    name : str
        A login name, or that of the key or token.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        """Return it as `rules.toml` has it."""
        return f"{self.kind}:{self.name}"


def user_of(uid: int) -> Pusher:
    """Return who a user of this system is."""
    try:
        return Pusher("user", pwd.getpwuid(uid).pw_name)
    except KeyError:  # as in a container
        return Pusher("user", str(uid))


class PackAbout(msgspec.Struct, frozen=True):
    """
    What a pack says, and who vouches for it.

    Attributes
    ----------
    users, pipelines : collection of str
        Of its runs, and of those that it speaks of; whose notes are in it. Empty names: of runs
        that nobody knows yet.
    site : str
        The id of the site that it was made for; empty if that is not known.
    signer : str
        Who signed it, as the site's `allowed_signers` has it; empty for nobody whom it knows.
    nodes : collection of str
        Of which it says what is no run's: idle energy, sources of readings, hardware.
    unsaid : collection of str
        Users and pipelines that the pack does not name and only the site knows: who may see some
        pipelines only does not learn of others by being refused.
    """

    users: Collection[str]
    pipelines: Collection[str]
    site: str = ""
    signer: str = ""
    nodes: Collection[str] = ()
    unsaid: Collection[str] = ()


class _Entry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is allowed; of what is None, anything."""

    who: list[str]
    users: list[str] | None = None
    pipelines: list[str] | None = None
    sites: list[str] | None = None
    signers: list[str] | None = None
    nodes: list[str] | None = None


class _Document(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the file holds."""

    allow: list[_Entry] = []


class Rules:
    """
    What a site takes from whom.

    Parameters
    ----------
    entries : sequence, optional
        What is allowed; None: everything.
    pipelines : collection of str, optional
        And of that, only what is of these pipelines; None: of any.
    """

    def __init__(
        self,
        entries: Sequence[_Entry] | None = None,
        pipelines: Collection[str] | None = None,
    ) -> None:
        self._entries = entries
        self._pipelines = pipelines

    @classmethod
    def of(cls, site: Site) -> Rules:
        """
        Read the rules of a site.

        Raises
        ------
        ConfigError
            They cannot be understood, or others than the site's operator could have written them;
            nothing is to be taken then.
        """
        path = site.path / FILE
        try:
            with path.open("rb") as file:
                _check_owner(file.fileno(), site)
                document = msgspec.toml.decode(file.read(), type=_Document)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"cannot use {path}: {error}; nothing was taken. It must hold [[allow]] entries:"
                " see docs/howto/exchange.md"
            ) from error
        return cls(document.allow)

    def within(self, pipelines: Collection[str]) -> Rules:
        """Return rules that allow what these do, as far as it is of some pipelines."""
        return Rules(self._entries, pipelines)

    @property
    def restrict(self) -> bool:
        """Whether there is anything that they do not allow."""
        return self._entries is not None or self._pipelines is not None

    def refuse(self, who: Pusher, pack: PackAbout) -> str | None:
        """
        Return why a pack may not come in; None if it may.

        Parameters
        ----------
        who : Pusher
            Who hands it over.
        pack : PackAbout
            What it says.
        """
        if self._pipelines is not None:
            for one in _tellable(set(pack.pipelines) - set(self._pipelines), pack):
                return f"{who} may not push {_what('of pipeline', one)}"
            for one in sorted(pack.nodes):
                return f"{who} may not push what is of node {one!r}, and so of no pipeline"
        if self._entries is None:
            return None
        of_them = [entry for entry in self._entries if _matches(str(who), entry.who)]
        if not of_them:
            return f"{who} may push nothing here"
        reasons = [_why_not(entry, who, pack) for entry in of_them]
        return None if None in reasons else f"{who} may not push {reasons[0]}"


def about(site: Site, said: Said, signer: str) -> PackAbout:
    """
    Return whose all is that a pack speaks of, as far as its site knows.

    Parameters
    ----------
    site : Site
        The site that it is to come into.
    said : Said
        What it says, from `cmfd.merge.inspect`.
    signer : str
        Who signed it.
    """
    users, pipelines = set(said.users), set(said.pipelines)
    if not has_index(site):
        unknown = {""} if set(said.subjects) - set(said.own) else set()
        return PackAbout(users | unknown, pipelines | unknown, said.site, signer, said.nodes)
    own = set(said.own)
    with closing(connect_index(site)) as db:
        for subject in said.subjects:
            # What the site knows counts more than what a pack says: nobody's run becomes another's.
            found = _whose(db, subject)
            if found is None:
                found = (set(), set()) if subject in own else ({""}, {""})
            users |= found[0]
            pipelines |= found[1]
    unsaid = (users - set(said.users)) | (pipelines - set(said.pipelines))
    return PackAbout(users, pipelines, said.site, signer, said.nodes, unsaid)


def _whose(db: sqlite3.Connection, subject: str) -> tuple[set[str], set[str]] | None:
    """Return the users and pipelines of what is spoken of; None if the site does not know it."""
    queries = named("site/whose")
    if subject.startswith("="):  # of content that is linked, that on one side may be new
        asked = [{"digest": digest} for digest in subject[1:].split("=")]
        rows = [row for one in asked for row in db.execute(queries["content"], one)]
        return _those(rows) or ({""}, {""})
    if ":" in subject:  # an artifact is nobody's; what is said of it is somebody's
        rows = db.execute(queries["artifact"], {"digest": subject}).fetchall()
        return (set(), {pipeline for (pipeline,) in rows}) if rows else (set(), {""})
    if "/" in subject:
        found = _SERIES.fullmatch(subject)
        if found is None:
            return ({""}, {""})
        first, last = int(found[2]), int(found[3])
        of_process = {"id": bytes.fromhex(found[1]), "first": first, "last": last}
        rows = db.execute(queries["series"], of_process).fetchall()
    else:
        try:
            of_id = {"id": bytes.fromhex(subject)}
        except ValueError:
            return None
        rows = [row for kind in ("run", "execution") for row in db.execute(queries[kind], of_id)]
    return _those(rows)


def _those(rows: Sequence[tuple[str, str | None]]) -> tuple[set[str], set[str]] | None:
    if not rows:
        return None
    return {user for user, _ in rows}, {pipeline for _, pipeline in rows if pipeline is not None}


def _why_not(entry: _Entry, who: Pusher, pack: PackAbout) -> str | None:
    """Return what of a pack an entry does not allow."""
    users = [who.name if one == SELF else one for one in entry.users or ()]
    for what, said, allowed in (
        ("of user", pack.users, None if entry.users is None else users),
        ("of pipeline", pack.pipelines, entry.pipelines),
        ("made for site", [pack.site], entry.sites),
        ("signed by", [pack.signer], entry.signers),
        ("of node", pack.nodes, entry.nodes),
    ):
        refused = [one for one in said if allowed is not None and not _matches(one, allowed)]
        for one in _tellable(refused, pack):
            return _what(what, one)
    return None


def _tellable(names: Iterable[str], pack: PackAbout) -> list[str]:
    """Return names in order; in place of those that its sender may not know, empty ones."""
    return sorted("" if one in pack.unsaid else one for one in names)


def _what(of_what: str, name: str) -> str:
    return f"what is {of_what} {repr(name) if name else 'unknown'}"


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_owner(descriptor: int, site: Site) -> None:
    """Raise if somebody else than who made a site, or root, may have written its rules."""
    standing = os.fstat(descriptor)
    if standing.st_uid not in (0, site.path.stat().st_uid):
        raise ConfigError(
            f"{site.path / FILE} belongs to uid {standing.st_uid}, not to whom the site belongs;"
            " nothing was taken"
        )
    if stat.S_IMODE(standing.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"{site.path / FILE} can be written by others; nothing was taken."
            f" Run: chmod go-w {site.path / FILE}"
        )
