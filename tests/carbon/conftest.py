"""A site of its own, to which factors are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.factors import FactorSite

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> FactorSite:
    """Return a site without factors."""
    return FactorSite(tmp_path)
