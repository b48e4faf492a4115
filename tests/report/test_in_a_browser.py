"""Reports in HTML as a real browser shows and prints them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from support.chromium import measured, printed, screenshot
from support.programs import program
from support.reports import HOSTILE, a_report

from cmfd.report import html

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # a browser is started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of everything."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html.render(a_report(cards=2, name=HOSTILE)), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [320, 375, 1200])
def test_no_page_is_wider_than_the_screen(page: Path, tmp_path: Path, width: int) -> None:
    """A phone shows it without scrolling sideways, whatever jobs are called."""
    found = measured(page, tmp_path, width=width)

    assert found.scroll_width == width
    assert found.height > 2000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_drawn_light_or_dark_as_one_prefers(
    page: Path, tmp_path: Path, scheme: str
) -> None:
    """Background and text change, and the components' colours with them; nothing is blank."""
    image, dark = tmp_path / "page.png", scheme == "dark"
    screenshot(page, image, width=1200, height=1600, dark=dark)

    with Image.open(image) as drawn:
        found = drawn.convert("RGB").getcolors(1 << 24) or ()
    colours = {colour: count for count, colour in found if isinstance(colour, tuple)}
    blue = (0x5A, 0xA2, 0xE6) if dark else (0x21, 0x66, 0xAC)
    pages = ((0x10, 0x15, 0x1B), (0xF6, 0xF7, 0xF9))
    assert colours[pages[not dark]] > 50_000
    assert pages[dark] not in colours
    assert colours[blue] > 5_000
    assert len(colours) > 200


def test_a_page_prints_with_the_tables_open(page: Path, tmp_path: Path) -> None:
    """On paper nobody can click: the figures beside each plot are printed, in black on white."""
    pdf = tmp_path / "report.pdf"
    printed(page, pdf)

    told = subprocess.run(
        [program("pdfinfo", "poppler-utils"), pdf], capture_output=True, text=True, check=True
    ).stdout
    pages = int(told.split("Pages:")[1].split()[0])
    assert 4 <= pages <= 20
    assert "A4" in told
    words = subprocess.run(
        [program("pdftotext", "poppler-utils"), "-layout", pdf, "-"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for word in ("Energy by component", "at least", "over mean", "node003", "relax.train"):
        assert word in words, word
