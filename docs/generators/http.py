"""The table of what a server can be asked, from its operations."""

from __future__ import annotations

import inspect

from cmfd.serve.operations import OPERATIONS
from docs.generators.markdown import code, table


def operations() -> str:
    """Return every operation with the scope that a token needs for it."""
    rows = [
        (
            code(f"{one.method} {one.path}"),
            "no token" if one.scopes is None else " or ".join(map(code, sorted(one.scopes))),
            inspect.cleandoc(one.handler.__doc__ or "").partition("\n\n")[0],
        )
        for one in OPERATIONS
    ]
    return table(("Request", "Needs", "Meaning"), rows)


SECTIONS = {"operations": operations}
