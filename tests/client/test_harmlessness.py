"""A program goes on whatever happens beside it: no descriptors left, a logger that raises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import cmfd

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_warning_that_cannot_be_logged_does_no_harm(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program's own filters and handlers may raise; the call that is warned of must not."""

    def refuse(record: logging.LogRecord) -> bool:
        raise RuntimeError(record.name)

    logger = logging.getLogger("cmfd")
    logger.addFilter(refuse)
    try:
        cmfd.metric("loss", "not a number")  # type: ignore[arg-type]  # what is warned of
    finally:
        logger.removeFilter(refuse)
    assert "metric() did nothing" in capsys.readouterr().err
    assert list((node / "journals").glob("*.cmfj"))
