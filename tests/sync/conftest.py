"""Sites for tests of their exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.exchange import MakeSite, maker

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    """Return what makes a site of a name, with the runs of these numbers."""
    return maker(tmp_path)
