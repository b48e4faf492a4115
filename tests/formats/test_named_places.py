"""Whatever a program named its content by, every format gives it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.packs import an_id
from support.sites import ASite, a_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Cmfd = Callable[..., Any]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("openlineage", "-o"), ("prov", "-o"), ("cmf", "-o"), ("ro-crate",)]
)
def test_what_only_looks_like_an_address_ends_no_export(
    cmfd: Cmfd, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """It is named as it was."""
    content = a_run(1)
    digest = content["artifact"][0][0]
    content["event"].append((
        an_id("exec", 1), "input", digest, "http://[half", 5, an_id("proc", 1000), "dataset", "n1",
        "", 0, "", "",
    ))  # fmt: skip
    ASite(tmp_path / "site").take(content)
    out = tmp_path / "out"
    cmfd("export", *words, str(out))
    told = out / "ro-crate-metadata.json" if out.is_dir() else out
    assert "[half" in told.read_text("utf-8") or "%5Bhalf" in told.read_text("utf-8")
