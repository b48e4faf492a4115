"""A table of processors, as codecarbon brings one, whether or not it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLE = """\
Name,TDP
AMD EPYC 7763,280.0
AMD EPYC Embedded 3101,35
AMD EPYC Embedded 8W,8
Intel Xeon CPU Max 9480,350.0
Of nothing,
"""


@pytest.fixture(scope="module", autouse=True)
def installed_table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put a package of codecarbon's form first, which fails if it is imported."""
    place = tmp_path_factory.mktemp("site-packages")
    package = place / "codecarbon"
    (package / "data" / "hardware").mkdir(parents=True)
    (package / "data" / "hardware" / "cpu_power.csv").write_text(_TABLE)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        yield
