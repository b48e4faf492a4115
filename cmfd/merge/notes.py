"""Saying something of artifacts, executions and runs afterwards."""

from __future__ import annotations

import os
import pwd
import time
from typing import TYPE_CHECKING

from cmfd.identity import uuid7
from cmfd.merge.additions import add_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cmfd.model import NoteKind


def say(site_dir: Path, kind: NoteKind, texts: Mapping[str, str]) -> None:
    """
    Put notes into a site; what was said before stays as it is.

    Parameters
    ----------
    site_dir : Path
        The site.
    kind : NoteKind
        What is said.
    texts : mapping of str to str
        The reason, tag, label or note, by what it is about: digests, ids in hexadecimal.

    Raises
    ------
    StoreError, IncompleteError
        As from `cmfd.merge.additions.add_rows`.
    """
    now_ns, uid = time.time_ns(), os.getuid()
    author = _name_of(uid)
    rows = [
        (uuid7(), about, kind.value, _storable(text), now_ns, uid, author)
        for about, text in texts.items()
    ]
    add_rows(site_dir, {"note": rows})


def _name_of(uid: int) -> str:
    """Return a user's name; not from the environment, which anybody may set."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in a container
        return f"uid {uid}"


def _storable(text: str) -> str:
    """Return a text that need not have been UTF-8 on the command line as one that is."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
