"""Files that were made to hurt who reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.sync.local import SitePeer

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.merge.rules import Pusher
    from cmfd.sync.peer import Blocks


def offered(site: Site, pack: Path, who: Pusher | None = None) -> None:
    """Hand a pack over to a site."""

    def blocks(offset: int) -> Blocks:
        yield pack.read_bytes()[offset:]

    SitePeer(site, who=who).write(pack.stem, pack.stat().st_size, blocks)


def endless(data: bytes, root: int, levels: int = 12) -> bytes:
    """Put levels of branches that all lead to one page above the rows of a table."""
    page_bytes = int.from_bytes(data[16:18], "big")
    n_pages = len(data) // page_bytes
    pages = [bytearray(data[at : at + page_bytes]) for at in range(0, len(data), page_bytes)]
    leaf = bytes(pages[root - 1])
    below = n_pages + 1
    pages.append(bytearray(leaf))
    for level in range(levels):
        is_root = level == levels - 1
        number = root if is_root else n_pages + 2 + level
        page = branches(page_bytes, below)
        if is_root:
            pages[root - 1] = page
        else:
            pages.append(page)
        below = number
    pages[0][28:32] = len(pages).to_bytes(4, "big")
    return b"".join(map(bytes, pages))


def branches(page_bytes: int, below: int, n_cells: int = 100) -> bytearray:
    """Make an inner page of a table, as SQLite's file format has it, all to one page."""
    page = bytearray(page_bytes)
    cells = [below.to_bytes(4, "big") + bytes([1 + number]) for number in range(n_cells)]
    at = page_bytes
    for number, cell in enumerate(cells):
        at -= len(cell)
        page[at : at + len(cell)] = cell
        page[12 + 2 * number : 14 + 2 * number] = at.to_bytes(2, "big")
    page[0] = 5
    page[3:5] = n_cells.to_bytes(2, "big")
    page[5:7] = at.to_bytes(2, "big")
    page[8:12] = below.to_bytes(4, "big")
    return page
