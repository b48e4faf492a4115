"""Where the service of a node for all users publishes what is a user's: a template, filled in."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD = re.compile(r"\{(user|uid|account|cluster)\}")
UNKNOWN = "none"
"""Stands for what is not known, or is no name for a directory: users choose some of these."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*")


def filled(template: str, fields: Mapping[str, str]) -> str:
    """Fill in a template's fields; a value never leads to another directory."""

    def value(match: re.Match[str]) -> str:
        known = fields.get(match[1], "")
        return known if _NAME.fullmatch(known) else UNKNOWN

    return FIELD.sub(value, template)


def own_site(template: Path, environ: Mapping[str, str]) -> Path | None:
    """
    Return the site of this process's user.

    Parameters
    ----------
    template : Path
        `Settings.system_site`.
    environ : mapping
        Environment variables: of a job they say which account it is for.

    Returns
    -------
    Path or None
        None where that depends on what is not known here.
    """
    fields = {
        "user": _user(),
        "uid": str(os.getuid()),
        "account": environ.get("SLURM_JOB_ACCOUNT", ""),
        "cluster": environ.get("SLURM_CLUSTER_NAME", ""),
    }
    if not all(fields[match[1]] for match in FIELD.finditer(str(template))):
        return None
    return Path(filled(str(template), fields))


def _user() -> str:
    import pwd  # noqa: PLC0415 - asked for once, and only on clusters with such a service

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
