"""
Programs written for CMF's library, recorded by cmfd.

`modules` has a package `cmflib` whose objects and functions are those that such programs use.
Nothing of it is imported unless somebody asks: `cmfd run --cmf-compat`, or
``import cmfd.compat.as_cmflib`` before the first ``import cmflib``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES = Path(__file__).parent / "modules"
"""To be put into a Python's path."""

DVC, DVC_PUSH = "CMFD_DVC", "CMFD_DVC_PUSH"
"""How DVC stores what such a program logs, ``add`` or ``commit``; and sends it, if not empty."""


def environ(before: Mapping[str, str], dvc: str | None, *, push: bool) -> dict[str, str]:
    """Return the variables by which a program and its children find `cmflib` here."""
    paths = filter(None, (str(MODULES), before.get("PYTHONPATH")))
    asked = {DVC: dvc, DVC_PUSH: "1" if push else ""} if dvc else {}
    return {"PYTHONPATH": os.pathsep.join(paths), **asked}
