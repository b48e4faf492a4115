"""
Programs written for CMF's library, recorded by cmfd.

`modules` has a package `cmflib` whose objects and functions are those that such programs use.
Nothing of it is imported unless somebody asks: `cmfd run --cmf-compat`, or
``import cmfd.compat.as_cmflib`` before the first ``import cmflib``.
"""

from __future__ import annotations

from pathlib import Path

MODULES = Path(__file__).parent / "modules"
"""To be put into a Python's path."""
