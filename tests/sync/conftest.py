"""Sites for tests of their exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.exchange import MakeSite, add

from cmfd.merge.layout import init_site

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.merge.layout import Site


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    """Return what makes a site of a name, with the runs of these numbers."""

    def make(name: str, *runs: int) -> Site:
        site = init_site(tmp_path / name)
        add(site, *runs)
        return site

    return make
