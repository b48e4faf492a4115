"""
Where the token for a site comes from that is reached over https.

``CMFD_TOKEN``, else the file that the remote names, else what `credentials.toml` has for the
longest address that the remote's begins with. A file must be its user's alone.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cmfd import config
from cmfd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cmfd.sync.remotes import Remote

VARIABLE = "CMFD_TOKEN"

_MOST_BYTES = 1 << 20


class _Credential(msgspec.Struct):
    """What the file has for an address."""

    token: str


def token_for(remote: Remote, environ: Mapping[str, str] = os.environ) -> str:
    """
    Return the token for a remote; empty if there is none.

    Raises
    ------
    ConfigError
        A file with it can be read by others, or cannot be understood; nothing was sent.
    """
    if said := environ.get(VARIABLE):
        return _checked(said, VARIABLE)
    if remote.token_file:
        path = Path(remote.token_file).expanduser()
        return _checked(_read(path, required=True), str(path))
    directory = config.user_directory(environ)
    if directory is None:
        return ""
    path = directory / "credentials.toml"
    return _checked(_of_address(remote.url, path), str(path))


def _of_address(url: str, path: Path) -> str:
    try:
        known = msgspec.toml.decode(_read(path, required=False), type=dict[str, _Credential])
    except ValueError as error:
        raise ConfigError(
            f'cannot use {path}: {error}; nothing was sent. It must hold ["https://..."] and'
            ' token = "..."'
        ) from error
    wanted = url.rstrip("/") + "/"
    fitting = [one for one in known if wanted.startswith(one.rstrip("/") + "/")]
    return known[max(fitting, key=len)].token if fitting else ""


def _read(path: Path, *, required: bool) -> str:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
                raise ConfigError(
                    f"{path} may be read by others, or is not yours; nothing was sent."
                    f" Run: chmod 600 {path}"
                )
            return file.read(_MOST_BYTES).decode()
    except (FileNotFoundError, NotADirectoryError) as error:
        if required:
            raise ConfigError(f"there is no file {path} with a token; nothing was sent") from error
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; nothing was sent") from error


def _checked(token: str, where: str) -> str:
    """Return a token without blanks around it; what no header can have is none."""
    token = token.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(f"{where} holds no token: one word, as `cmfd serve token add` prints it")
    return token
