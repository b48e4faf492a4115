"""`/etc/cmfd/cmfd.toml` of a cluster: every setting with its meaning, and what was chosen."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

from cmfd.config import SettingDescription, describe_settings

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = """\
# Settings of cmfd on this cluster, for the daemon and for every user's processes. Written by
# `cmfd slurm install`. What is commented out is the default; users may choose for themselves in
# ~/.config/cmfd/cmfd.toml or by variables (CMFD_<KEY>). After a change: `systemctl reload cmfd`.
"""
_WIDTH = 98


def settings_file(site: Path, node_dir: Path) -> str:
    """
    Return the settings of a cluster as TOML, documented key by key.

    Parameters
    ----------
    site : Path
        Where the daemons publish.
    node_dir : Path
        The daemon's directory on each node.
    """
    chosen = {"node_dir": str(node_dir), "system": True, "system_site": str(site)}
    return "\n".join([_HEAD, *(_entry(item, chosen) for item in describe_settings())])


def _entry(item: SettingDescription, chosen: dict[str, object]) -> str:
    """Return the lines of one setting."""
    said = textwrap.wrap(
        f"{item.meaning} ({item.type})",
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
    )
    if item.key in chosen:
        return "\n".join([*said, f"{item.key} = {json.dumps(chosen[item.key])}", ""])
    default = item.default
    if item.type == "path" or not _is_json(default):
        default = json.dumps(default)
    value = textwrap.wrap(
        f"{item.key} = {default}",
        _WIDTH,
        initial_indent="#",
        subsequent_indent="#    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join([*said, *value, ""])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
