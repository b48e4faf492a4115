"""Sites with known runs, and reading what commands print of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from click.testing import CliRunner, Result
from support.packs import Content, an_id, small_run, write_pack

from cmfd.cli.main import cli
from cmfd.merge.batch import merge_site
from cmfd.store.columns import encode

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECOND_NS = 1_000_000_000
BEGIN_NS = 1_700_000_000 * SECOND_NS

Invoke = Callable[..., Result]


def chunk(
    instance: bytes, series: int, steps: list[int], values: list[float], *, block: int = 0
) -> tuple[Any, ...]:
    """Make a chunk's row, with its figures, as sealing does."""
    kind = np.int64 if all(isinstance(value, int) for value in values) else np.float64
    array: npt.NDArray[Any] = np.array(values, kind)
    times = BEGIN_NS + np.arange(len(steps), dtype=np.int64) * SECOND_NS
    numbers = [value for value in values if not math.isnan(value)]
    finite = [value for value in numbers if math.isfinite(value)]
    return (
        instance, series, block, len(values), len(values) - len(numbers), min(steps), max(steps),
        int(times[0]), int(times[-1]), min(numbers, default=None), max(numbers, default=None),
        float(sum(finite)), steps[-1], None if math.isnan(values[-1]) else values[-1],
        encode(np.array(steps, np.int64), times, array),
    )  # fmt: skip


def a_run(number: int, *, n_ranks: int = 2, **metrics: list[float]) -> Content:
    """Return a run whose ranks all log `metrics`, from step 0; rank 1 adds 10 to each value."""
    content = small_run(number, n_ranks=n_ranks)
    content["series"], content["chunk"] = [], []
    for rank in range(n_ranks):
        instance = an_id("proc", number * 1000 + rank)
        for series, (name, values) in enumerate(metrics.items(), 1):
            kind = "int" if all(isinstance(value, int) for value in values) else "float"
            content["series"].append((instance, series, an_id("exec", number), name, kind))
            shifted = [value + 10 * rank for value in values]
            content["chunk"].append(chunk(instance, series, list(range(len(values))), shifted))
    return content


def set_param(content: Content, number: int, key: str, kind: str, value: Any) -> None:
    """Say a parameter of a run."""
    origin = an_id("proc", number * 1000)
    row = (an_id("exec", number), key, kind, value, BEGIN_NS, origin, 0)
    content["param"].append(row)


@dataclass
class ASite:
    """A site, and how to make it from packs."""

    path: Path

    def take(self, *contents: Content) -> ASite:
        """Merge packs of these contents."""
        packs = self.path.parent / "packs"
        for number, content in enumerate(contents):
            write_pack(packs, content, sealed_ns=number + 1)
        report = merge_site(self.path, [packs] if contents else [])
        assert not report.quarantined, report.quarantined
        return self


def invoker(site: ASite, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on a site, in this process and a directory."""
    monkeypatch.setenv("CMFD_SITE", str(site.path))
    monkeypatch.setenv("CMFD_NODE_DIR", str(cwd / "node"))
    monkeypatch.chdir(cwd)

    def run(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, list(words), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    return run


def from_json(result: Result) -> Any:
    """Parse what a command printed with ``--json``, which must be JSON as the standard has it."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(result.stdout, parse_constant=refuse)
