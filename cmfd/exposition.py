"""
Figures in Prometheus' text format, which node exporters, agents and servers read.

The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4),
the names follow https://prometheus.io/docs/practices/naming/: base units, counters end in
``_total``.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


class Sample(NamedTuple):
    """A figure, and what it is of."""

    labels: Mapping[str, str]
    value: float
    suffix: str = ""
    """Of a summary: ``_sum`` or ``_count``."""


class Family(NamedTuple):
    """Figures of one name."""

    name: str
    kind: Literal["counter", "gauge", "summary"]
    help: str
    samples: Sequence[Sample]


def text(families: Iterable[Family]) -> str:
    """
    Return figures as text.

    Parameters
    ----------
    families : iterable of Family
        Names differ; one without samples is left out, and so is what is no number.
    """
    lines: list[str] = []
    for family in families:
        samples = [one for one in family.samples if not math.isnan(one.value)]
        if samples:
            lines.append(f"# HELP {family.name} {family.help.translate(_ESCAPES)}")
            lines.append(f"# TYPE {family.name} {family.kind}")
            lines += sorted(
                f"{family.name}{one.suffix}{_labels(one)} {one.value!r}" for one in samples
            )
    return "".join(f"{line}\n" for line in lines)


def _labels(sample: Sample) -> str:
    """Return ``{node="n1"}``; a label without a value is one that is not there."""
    inside = ",".join(
        f'{re.sub(r"[^a-zA-Z0-9_]", "_", name)}="{value.translate(_ESCAPES)}"'
        for name, value in sample.labels.items()
        if value
    )
    return f"{{{inside}}}" if inside else ""


def write_textfile(path: Path, families: Iterable[Family]) -> None:
    """
    Write figures for a node exporter's textfile collector.

    Whoever reads it meanwhile sees all of the old file or all of the new one.

    Parameters
    ----------
    path : Path
        Ends in ``.prom``; its directory is there.

    Raises
    ------
    OSError
        It cannot be written; what was there is as it was.
    """
    # The collector reads *.prom only: a file that is not complete is none.
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with open(handle, "w", encoding="utf-8") as stream:  # noqa: PTH123 - an open descriptor
            stream.write(text(families))
            os.fchmod(stream.fileno(), 0o644)  # the collector is another user
        Path(unfinished).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(unfinished).unlink()
        raise
