"""
Where a service for all users publishes: the place that its operator named, made if need be.

A site that it makes is for the user whose it is and for the groups that the operator named, by an
access control list, which what is made in it later inherits. One that is there keeps its mode.
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import struct
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import StoreError
from cmfd.service import FIELD, filled
from cmfd.store.pack import INBOX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cmfd.daemon.effects import Owner

log = logging.getLogger(__name__)

_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF
_READ = 0o5


class Sites:
    """
    The sites of a service.

    Parameters
    ----------
    template : Path
        `Settings.system_site`.
    readers : iterable of str
        `Settings.system_readers`.
    """

    def __init__(self, template: Path, readers: Iterable[str]) -> None:
        self._template = template
        self._readers = tuple(readers)
        self._names: dict[int, str] = {}

    def place(self, owner: Owner) -> Path:
        """
        Return the site of a user's run; made if it is missing.

        Raises
        ------
        StoreError
            It cannot be: what it would lie in is not there, or cannot be written.
        """
        fields = {
            "user": owner.user or self._name(owner.uid),
            "uid": str(owner.uid),
            "account": owner.account,
            "cluster": owner.cluster,
        }
        site = site_of(self._template, fields)
        if not site.is_dir():
            groups = [filled(name, fields) for name in self._readers]
            self._make(site, self._users(owner), groups)
        return site

    def _users(self, owner: Owner) -> list[int]:
        """Return who a site is: a user, unless it is for many."""
        alone = "{user}" in str(self._template) or "{uid}" in str(self._template)
        return [owner.uid] if alone else []

    def _name(self, uid: int) -> str:
        """Return a user's name: asked once, since a server of names may be slow."""
        if uid not in self._names:
            try:
                self._names[uid] = pwd.getpwuid(uid).pw_name
            except KeyError:
                return str(uid)
        return self._names[uid]

    def _make(self, site: Path, uids: list[int], groups: list[str]) -> None:
        """Make a site and what is missing above it, but nothing of what the template fixes."""
        n_fixed = len(fixed_part(self._template).parts)
        missing = [path for path in (site, *site.parents) if not path.exists()]
        try:
            for path in reversed(missing):
                if len(path.parts) <= n_fixed:  # perhaps what should be mounted there is not
                    raise FileNotFoundError(f"{path} is not there")
                path.mkdir(mode=0o700)
                if path == site:
                    grant(path, uids, groups)
                else:
                    path.chmod(0o711)  # others' sites are below it: it can be entered, not listed
        except OSError as error:
            raise StoreError(
                f"the site {site} cannot be made: {error}. What is to be published is kept. Make "
                "it, for the daemon's user to write to, or correct `system_site`"
            ) from error


def site_of(template: Path, fields: dict[str, str]) -> Path:
    """Return the site that a template says; `fields`: what is known, by name."""
    return Path(*(filled(part, fields) for part in template.parts))


def fixed_part(template: Path) -> Path:
    """Return the directory under which all sites of a template are: the site, if it is one."""
    return Path(*takewhile(lambda part: not FIELD.search(part), template.parts))


def sites_of(template: Path) -> list[Path]:
    """Return the sites of a template that there are."""
    fixed = fixed_part(template)
    if fixed == template:
        return [template]
    pattern = "/".join(FIELD.sub("*", part) for part in template.relative_to(fixed).parts)
    return [path for path in sorted(fixed.glob(pattern)) if (path / INBOX).is_dir()]


def grant(path: Path, uids: Iterable[int], groups: Iterable[str]) -> None:
    """Let users and groups, and nobody else, read a directory of one's own and what comes in it."""
    gids = []
    for name in groups:
        with suppress(KeyError):
            gids.append(grp.getgrnam(name).gr_gid)
    entries = [(_USER_OBJ, 0o7, _NO_ID)]
    entries += [(_USER, _READ, uid) for uid in sorted(uids)]
    entries += [(_GROUP_OBJ, 0, _NO_ID)]
    entries += [(_GROUP, _READ, gid) for gid in sorted(gids)]
    entries += [(_MASK, _READ, _NO_ID), (_OTHER, 0, _NO_ID)]
    acl = struct.pack("<I", 2) + b"".join(_ENTRY.pack(*entry) for entry in entries)
    try:
        for kind in ("access", "default"):
            os.setxattr(path, f"system.posix_acl_{kind}", acl)
    except OSError as error:
        log.warning(
            "%s is for the daemon's user alone: its file system keeps no access control lists (%s)."
            " Set its mode and group for those who are to read it",
            path, error,
        )  # fmt: skip
