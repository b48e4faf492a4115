"""A real browser, without a window: what it draws, measures and prints of a page."""

from __future__ import annotations

import re
import subprocess
from html import escape, unescape
from typing import TYPE_CHECKING, NamedTuple

from support.programs import program

if TYPE_CHECKING:
    from pathlib import Path


class Measured(NamedTuple):
    """What a browser says of a page at a width."""

    scroll_width: int
    """How wide what it shows is; more than the width: it must be scrolled sideways."""
    height: int
    background: str
    """Colour of the page's background."""


def _chromium(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        program("chromium", "chromium"), "--headless", "--no-sandbox", "--disable-gpu",
        "--hide-scrollbars", "--disable-background-networking", "--disable-dev-shm-usage",
        f"--user-data-dir={directory}/profile", *arguments,
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=240, check=True
    )


def screenshot(
    page: Path | str, image: Path, *, width: int, height: int, dark: bool = False
) -> None:
    """
    Draw a page.

    Parameters
    ----------
    page : Path or str
        A file, or an address.
    image : Path
        The PNG to write.
    width, height : int
        Of the window, in pixels. No window is narrower than 500: see `measured` for phones.
    dark : bool
        As one who prefers dark pages.
    """
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    _chromium(
        image.parent, *scheme, f"--window-size={width},{height}", f"--screenshot={image}",
        page if isinstance(page, str) else page.as_uri(),
    )  # fmt: skip


def text_of(address: str, directory: Path) -> str:
    """Return what a page says, without its tags, after its scripts have run."""
    shown = _chromium(directory, "--virtual-time-budget=5000", "--dump-dom", address).stdout
    shown = re.sub(r"<(style|script)\b.*?</\1>", "", shown, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", shown)).split())


def printed(page: Path, pdf: Path) -> None:
    """Print a page."""
    _chromium(pdf.parent, "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri())


def measured(page: Path, directory: Path, *, width: int) -> Measured:
    """Show a page in a frame of some width, and ask the browser what came of it."""
    frame = directory / f"frame-{width}.html"
    source = escape(page.as_uri())
    frame.write_text(
        f'<iframe id="f" frameborder="0" width="{width}" height="900" src="{source}">'
        """</iframe><script>
        document.getElementById("f").onload = event => {
          const page = event.target.contentDocument.documentElement;
          const body = event.target.contentWindow.getComputedStyle(page.querySelector("body"));
          document.title = [page.scrollWidth, page.scrollHeight, body.backgroundColor].join("|");
        };</script>""",
        encoding="utf-8",
    )
    done = _chromium(
        directory, "--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom",
        frame.as_uri(),
    )  # fmt: skip
    found = re.search(r"<title>(\d+)\|(\d+)\|(.*)</title>", done.stdout)
    assert found, done.stdout + done.stderr
    return Measured(int(found[1]), int(found[2]), found[3])
