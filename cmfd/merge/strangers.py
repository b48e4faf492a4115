"""
Packs that somebody else put into an inbox: nothing in them is believed.

Who merges them takes a copy first, which nobody else can change, has it read by
`cmfd.merge.inspect`, and asks the site's rules whether its owner may push it. The kernel says who
that is.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from cmfd.errors import PackError
from cmfd.merge import rules, signatures
from cmfd.merge.absorb import opened
from cmfd.store.pack import PARTIAL_PREFIX, sha256_of
from cmfd.store.shared import follow, make_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.merge.layout import Site

_BLOCK_BYTES = 1 << 20


def checker(site: Site) -> Callable[[Path], Path]:
    """
    Return what checks a pack of a site's inbox, and returns the file to take it from.

    Raises
    ------
    ConfigError
        The site has rules that cannot be used; nothing is to be merged.
    """
    known = rules.Rules.of(site)

    return lambda pack: _taken(site, known, pack) if is_strangers(pack) else opened(pack)


def is_strangers(pack: Path) -> bool:
    """Say whether what is there under a pack's name is neither this user's nor root's."""
    # What a link leads to does not count: who made the link can change it at any time.
    return pack.lstat().st_uid not in (0, os.geteuid())


def _taken(site: Site, known: rules.Rules, pack: Path) -> Path:
    """Return a copy, in its place among the merged packs, of somebody else's that is sound."""
    from cmfd.merge.inspect import shared as inspector  # noqa: PLC0415 - as in cmfd.sync.local

    target = site.merged(pack.stem)
    make_directory(site.packs)
    make_directory(target.parent)
    partial = target.with_name(f"{PARTIAL_PREFIX}{os.urandom(8).hex()}")
    try:
        uid = _copy(pack, partial)
        who = rules.user_of(uid)
        said = inspector.inspect(
            partial, pack.stem, about=known.restrict, who=str(who), within=site.packs
        )
        if known.restrict:
            reason = known.refuse(who, rules.about(site, said, _signer(site, pack.stem)))
            if reason is not None:
                raise PackError(f"refused: {reason}")
        follow(partial, final=True)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def keep_copy(site: Site, pack: Path) -> None:
    """
    Keep a copy, among the merged packs, of somebody else's whose content was merged before.

    Raises
    ------
    PackError
        It is not what its name says.
    """
    target = site.merged(pack.stem)
    make_directory(target.parent)
    partial = target.with_name(f"{PARTIAL_PREFIX}{os.urandom(8).hex()}")
    try:
        _copy(pack, partial)
        if sha256_of(partial) != pack.stem:
            raise PackError("corrupt: its sha256 is not the one in its name")
        follow(partial, final=True)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    pack.unlink(missing_ok=True)


def _signer(site: Site, digest: str) -> str:
    signature = signatures.of(site, digest)
    found = signatures.signer(site, digest, signature) if signature else None
    return "" if found is None else found.name


def _copy(pack: Path, target: Path) -> int:
    """Copy a file as it is; return whose it is."""
    # Not what a link leads to: that may be a file of this user's, and its content nobody's matter.
    try:
        descriptor = os.open(pack, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PackError("foreign: it is a link") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PackError("foreign: it is no regular file")
        return _copy_open(descriptor, target)
    finally:
        os.close(descriptor)


def _copy_open(descriptor: int, target: Path) -> int:
    with os.fdopen(descriptor, "rb", closefd=False) as source, target.open("xb") as file:
        while block := source.read(_BLOCK_BYTES):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return os.fstat(descriptor).st_uid
