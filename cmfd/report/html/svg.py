"""
Drawings that belong to their page: SVG by Matplotlib, in the page's own colours and font.

Matplotlib draws with colours that nobody would choose, and each is replaced by a variable of the
page's style, so that one drawing suits light, dark and paper.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import ConfigError
from cmfd.report.html.page import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, SURFACE, ACCENT, INTENSITY = (f"#0{n}0{n}0{n}" for n in range(1, 7))
CPU, DRAM, GPU, OTHER, FRONT = (f"#{n}0{n}0{n}0" for n in range(1, 6))
_VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "line", SURFACE: "surface", ACCENT: "accent",
    INTENSITY: "intensity", CPU: "cpu", DRAM: "dram", GPU: "gpu", OTHER: "other", FRONT: "front",
}  # fmt: skip
COMPONENTS = {"cpu": CPU, "dram": DRAM, "gpu": GPU, "other": OTHER}
HATCHES = {"cpu": "", "dram": "//", "gpu": "..", "other": "xx"}
"""What tells components apart without colour."""

_POINTS_PER_INCH = 72
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: to be found, read aloud and set in the page's font
    "text.parse_math": False,  # a user's name may have dollars in it
    "font.family": "DejaVu Sans",  # what Matplotlib brings, to measure with
    "font.size": 10.5,
    "axes.edgecolor": GRID, "axes.labelcolor": MUTED, "axes.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.titlecolor": INK, "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelcolor": MUTED, "ytick.labelcolor": INK, "grid.color": GRID, "grid.linewidth": 0.7,
    "hatch.color": SURFACE, "hatch.linewidth": 0.9, "legend.frameon": False,
    "legend.fontsize": 9.5, "legend.labelcolor": INK, "figure.facecolor": "none",
}  # fmt: skip


class Size(NamedTuple):
    """Of a drawing, in CSS pixels at which its text has its natural size."""

    width: float
    height: float


@contextmanager
def drawing(size: Size) -> Iterator[Figure]:
    """
    Begin a drawing.

    Yields
    ------
    Figure
        Without axes yet, laid out by itself when it is written.

    Raises
    ------
    ConfigError
        Matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - slow to import, and an extra
        from matplotlib.figure import Figure  # noqa: PLC0415 - as above
    except ImportError:
        raise ConfigError(MISSING) from None
    with mpl.rc_context(_SETTINGS):  # type: ignore[arg-type] # Matplotlib lists all keys as types
        yield Figure(
            figsize=(size.width / _POINTS_PER_INCH, size.height / _POINTS_PER_INCH),
            layout="constrained",
        )


def written(figure: Figure, name: str, alt: str) -> str:
    """
    Return a drawing as an SVG element.

    Parameters
    ----------
    figure : Figure
        From `drawing`, within whose context this is called.
    name : str
        Letters, digits and dashes; no other drawing of the page has it.
    alt : str
        What it shows, for who does not see it.
    """
    import matplotlib as mpl  # noqa: PLC0415 - as above

    stream = io.StringIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": name}):
        # A name in a script that Matplotlib's font lacks is only measured by it: the browser draws.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph")
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(
        r"#[0-9a-f]{6}\b",
        lambda found: f"var(--{_VARIABLES[found[0]]})" if found[0] in _VARIABLES else found[0],
        text,
    )
    # Its own size is that of its box in the page; the font is the page's, at Matplotlib's size.
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", text)
    text = re.sub(r"font: ([\d.]+px) inherit", r"font-size: \1", text)
    label = f' role="img" aria-label="{escape(alt)}"'
    return text.replace("<svg", f"<svg{label}", 1).strip()


def plain(axes: Axes, *, grid: str = "") -> None:
    """Leave out ticks' marks and all lines but the grid's, along ``x`` or ``y``."""
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if grid in ("x", "y"):
        axes.grid(axis="x" if grid == "x" else "y")
