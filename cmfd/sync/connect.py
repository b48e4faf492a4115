"""Reaching another site: in a directory, through ssh, or over https."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import ConfigError
from cmfd.merge.layout import open_site
from cmfd.merge.rules import user_of
from cmfd.sync import remotes
from cmfd.sync.credentials import token_for
from cmfd.sync.local import SitePeer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.sync.peer import Peer


@contextmanager
def connect(remote: remotes.Remote) -> Iterator[Peer]:
    """
    Reach another site while the block runs.

    Parameters
    ----------
    remote : Remote
        Where it is. Over ssh it is the user's own: keys, agent and configuration are not ours.

    Raises
    ------
    ConfigError
        The token for a server cannot be read, or it is a server of CMF's, which is no site.
    NotFoundError
        There is no site.
    RemoteError
        The other machine cannot be reached, or has no cmfd.
    """
    address = remotes.parse(remote.url)
    if remote.url.startswith(remotes.CMF):
        raise ConfigError(
            f"{remote.url} is a server of CMF's, which has no packs: only cmfd push and cmfd pull"
            " know what to do with it; nothing was done"
        )
    if address.scheme:
        from cmfd.sync.http import Wire  # noqa: PLC0415 - TLS takes time to import
        from cmfd.sync.https import HttpsPeer  # noqa: PLC0415 - as above

        with closing(Wire(remote.url, address, token_for(remote))) as wire:
            yield HttpsPeer(wire)
        return
    if not address.host:
        yield SitePeer(open_site(Path(address.path).expanduser()), who=user_of(os.geteuid()))
        return
    from cmfd.sync.ssh import through_ssh  # noqa: PLC0415 - only where there is a process to start

    with through_ssh(remote, address) as peer:
        yield peer
