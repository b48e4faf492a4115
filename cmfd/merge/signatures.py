"""
Who vouches for a pack: signatures by ssh keys, as git has them.

What is signed is one line with the pack's digest, which stands for all of its bytes. A signature
lies beside the site's packs and travels with them. Whose keys count a site says in
`allowed_signers`, a file in the format of ssh-keygen(1), ALLOWED SIGNERS; `signed_only = true` in
its `site.toml` has it take packs from other sites only if one of these signed them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from cmfd.errors import ConfigError, PackError
from cmfd.store.pack import is_pack_name
from cmfd.store.shared import follow, write_whole

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cmfd.merge.layout import Site

NAMESPACE = "cmfd-pack"
"""Keeps a signature of something else from being taken for one of a pack."""

MOST_BYTES = 1 << 14
"""A signature is not longer."""

_LIMIT_S = 30
_LINE_BYTES = 65
_GOOD = re.compile(r'Good "[^"]*" signature for (?P<who>.+) with (?P<key>\S+) key (?P<print>\S+)')


class Signer(NamedTuple):
    """
    Who signed a pack.

    Attributes
    ----------
    name : str
        As `allowed_signers` has it; empty where the key is not in it.
    key : str
        The key's kind and fingerprint.
    """

    name: str
    key: str


def path_of(site: Site, digest: str) -> Path:
    """Return where the signature of a pack is kept."""
    return site.path / "signatures" / digest[:2] / f"{digest}.sig"


def of(site: Site, digest: str) -> str:
    """Return the signature of a pack; empty if there is none."""
    try:
        with path_of(site, digest).open(encoding="ascii") as file:
            signature = file.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        return ""
    return signature if len(signature) <= MOST_BYTES else ""


def sign(site: Site, digests: Sequence[str], key: Path) -> int:
    """
    Sign packs of a site that have no signature.

    Parameters
    ----------
    site : Site
        The site.
    digests : sequence of str
        The packs.
    key : Path
        A private ssh key, or the public one of a key that the agent holds.

    Returns
    -------
    int
        How many were signed.

    Raises
    ------
    ConfigError
        The key cannot be used; what was signed before is kept.
    """
    new = [digest for digest in digests if not path_of(site, digest).exists()]
    for digest in new:
        words = ("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key))
        done = _ssh_keygen(words, _text(digest))
        if done.returncode != 0:
            raise ConfigError(
                f"cannot sign with {key}: {done.stderr.strip()}; name a private ssh key, or the"
                " public one of a key that your agent holds"
            )
        keep(site, digest, done.stdout)
    return len(new)


def keep(site: Site, digest: str, signature: str) -> None:
    """Keep a signature, unless there is one."""
    path = path_of(site, digest)
    if not path.exists():
        write_whole(path, signature.encode("ascii"))
        _append(_order(site), f"{digest}\n".encode("ascii"))


def take(site: Site, digest: str, signature: str) -> None:
    """
    Keep a signature from elsewhere, if it is one; in place of another, if only its signer is known.

    Raises
    ------
    OSError
        It cannot be written; what there was is kept.
    """
    before = of(site, digest)
    found = None if signature == before else signer(site, digest, signature)
    if found is None:
        return
    if before:
        known = signer(site, digest, before)
        if known is not None and (known.name or not found.name):
            return
        path_of(site, digest).unlink(missing_ok=True)
    keep(site, digest, signature)


def count(site: Site) -> int:
    """Return how many signatures a site has got so far."""
    try:
        return _order(site).stat().st_size // _LINE_BYTES
    except FileNotFoundError:
        return 0


def since(site: Site, number: int) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the pack and the text of each signature that came after so many."""
    if number >= count(site):
        return
    try:
        with _order(site).open("rb") as file:
            file.seek(number * _LINE_BYTES)
            for n_all, line in enumerate(file, number + 1):
                digest = line.decode("ascii", "replace").rstrip("\n")
                if is_pack_name(f"{digest}.db") and (signature := of(site, digest)):
                    yield n_all, digest, signature
    except FileNotFoundError:
        return


def _order(site: Site) -> Path:
    """Return the file that has the packs in the order in which their signatures came."""
    return site.path / "signatures" / "order"


def _append(path: Path, line: bytes) -> None:
    # One write at the end: what others write at the same time is before or after it.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
    follow(path)


def signer(site: Site, digest: str, signature: str) -> Signer | None:
    """Return who signed a pack; None if the signature is none of it."""
    if not signature or len(signature) > MOST_BYTES or not signature.isascii():
        return None
    import tempfile  # noqa: PLC0415 - only where there are signatures, as below

    allowed = site.path / "allowed_signers"
    with tempfile.NamedTemporaryFile("w", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        name = _principal(allowed, file.name)
        common = ("-n", NAMESPACE, "-s", file.name)
        if name:
            words = ("-Y", "verify", "-f", str(allowed), "-I", name, *common)
            done = _ssh_keygen(words, _text(digest))
            found = _GOOD.search(done.stdout)
            if done.returncode == 0 and found:
                return Signer(name, f"{found['key']} {found['print']}")
        done = _ssh_keygen(("-Y", "check-novalidate", *common), _text(digest))
    if done.returncode != 0:
        return None
    return Signer("", done.stdout.strip().rpartition(" with ")[2].replace(" key ", " "))


def check(site: Site, digest: str, signature: str) -> None:
    """
    Raise unless a pack from elsewhere may come into a site.

    Raises
    ------
    PackError
        The site takes signed ones only, and this is signed by nobody whom it knows.
    """
    if not site.signed_only:
        return
    found = signer(site, digest, signature)
    if found is None or not found.name:
        told = f"signed by a key that it does not know ({found.key})" if found else "not signed"
        raise PackError(
            f"pack {digest} is {told}, and {site.path} takes only packs that one of its"
            " allowed_signers signed. Sign them: cmfd push --sign KEY"
        )


def _principal(allowed: Path, signature: str) -> str:
    if not allowed.exists():
        return ""
    done = _ssh_keygen(("-Y", "find-principals", "-f", str(allowed), "-s", signature), "")
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else ""


def _text(digest: str) -> str:
    return f"cmfd pack {digest}\n"


def _ssh_keygen(words: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    import subprocess  # noqa: PLC0415 - as above

    try:
        return subprocess.run(  # noqa: S603 - no shell; a digest is 64 hexadecimal digits
            ("/usr/bin/env", "ssh-keygen", *words),
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"cannot run ssh-keygen: {error}; signatures need OpenSSH 8.2 or later"
        ) from error
