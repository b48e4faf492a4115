"""
Write the parts of the documents that follow from the code, into the documents.

    python -m docs.generate            write them
    python -m docs.generate --check    only say which are out of date, and fail if any is

A generated part stands between two comments, which name it and stay; the prose around it is
written by hand. Each module of `docs.generators` offers `SECTIONS`: functions by name.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docs.generators import api, cli, factors, filters, http, journal, schema, settings, wire

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parent

SECTIONS: dict[str, Callable[[], str]] = {
    f"{module.__name__.rpartition('.')[2]}.{name}": function
    for module in (api, cli, factors, filters, http, journal, schema, settings, wire)
    for name, function in module.SECTIONS.items()
}

_PART = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[\w.]+) [^\n]*-->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def filled(text: str) -> str:
    """Return a document with each of its generated parts as it should be now."""

    def fill(found: re.Match[str]) -> str:
        return f"{found['begin']}\n{SECTIONS[found['name']]().strip()}\n\n{found['end']}"

    return _PART.sub(fill, text)


def main() -> int:
    """Write or check every document; return an exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        wanted = filled(text)
        if wanted == text:
            continue
        stale.append(path.relative_to(DOCS.parent))
        if not check:
            path.write_text(wanted, encoding="utf-8")
    for name in stale:
        print(f"{name}: {'out of date; run `make docs`' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
