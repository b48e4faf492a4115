"""
The book of factors of a site, and what energy means by it.

    book = CarbonBook.open(site_dir)
    carbon = book.of(rows, holds)
    print(carbon.operational_gco2e, carbon.factor_set_id, carbon.missing)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.carbon.model import GRADE_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cmfd.carbon.model import Carbon, EnergyRow, Hold, Stretch


class CarbonBook:
    """
    What a site knows of emissions, with one factor set chosen.

    Attributes
    ----------
    factor_set_id : str
        SHA-256 of the factor set; empty if the site has none.
    factor_set_name : str
        What it is called.
    """

    factor_set_id: str
    factor_set_name: str

    @classmethod
    def open(cls, site_dir: Path) -> CarbonBook:
        """
        Return the book of a site, with the factor set that is in use there.

        Parameters
        ----------
        site_dir : Path
            The site. One without factors has a book, too: it knows nothing, and says why.

        Raises
        ------
        ConfigError
            What the site holds of factors cannot be read; nothing was changed.
        """
        raise NotImplementedError

    def with_factors(self, name: str) -> CarbonBook:
        """
        Return the book with another factor set of the site.

        Parameters
        ----------
        name : str
            Its SHA-256, or the beginning of it that no other has, or its name.

        Raises
        ------
        NotFoundError
            The site has none that goes by it, or several.
        """
        raise NotImplementedError

    def of(
        self,
        rows: Iterable[EnergyRow],
        holds: Iterable[Hold] | None = None,
        *,
        bounds: Mapping[str, tuple[float, float]] = GRADE_BOUNDS,
    ) -> Carbon:
        """
        Return what energy means in emissions.

        Parameters
        ----------
        rows : iterable of EnergyRow
            The energy; the order is of no matter, and nothing is told apart twice.
        holds : iterable of Hold, optional
            The shares of nodes that were held; without them, nothing is said of embodied carbon.
        bounds : mapping
            How far energy of each grade may lie below and above, as shares of it.
        """
        raise NotImplementedError

    def intensity(self, t0_ns: int, t1_ns: int, *, node: str = "") -> list[Stretch]:
        """
        Return the grid's intensity over a time, for plots.

        Parameters
        ----------
        t0_ns, t1_ns : int
            From when to when, half-open.
        node : str
            A node's name, where a site has nodes in several places.

        Returns
        -------
        list of Stretch
            Ascending, without gaps; where nothing is known, a stretch without intensity.
        """
        raise NotImplementedError
