"""
What a site's operator says of its reports: the table ``report`` of ``site.toml``.

    [report]
    others = "aggregates"
    least_users = 3

    [report.uncertainty_percent]
    B = [10, 10]

It shapes what reports show; it guards nothing. Who may read the index may ask it anything.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from cmfd.carbon.model import GRADE_BOUNDS
from cmfd.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.merge.layout import Site

GRADES = "ABCDEM"
"""Best first: metered node, counter of a component, integrated power, model, constant, missing."""

MEASURED = "ABC"

BOUNDS = {**GRADE_BOUNDS, "M": (1.0, 1.0)}
"""By which shares a figure of a grade may be too large and too small, unless the site says."""

Percent = Annotated[float, Meta(ge=0)]
Others = Literal["all", "aggregates", "nothing"]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What reports of a site show, and to whom."""

    others: Others = "aggregates"
    """Of other users' runs, to who is no operator."""
    least_users: Annotated[int, Meta(ge=1)] = 3
    """So many other users must be in a group before it is shown."""
    uncertainty_percent: dict[str, tuple[Percent, Percent]] = {}

    def bounds(self, grade: str) -> tuple[float, float]:
        """Return by which share a figure of a grade may be too large, and too small."""
        if grade not in self.uncertainty_percent:
            return BOUNDS.get(grade, BOUNDS["M"])
        less, more = self.uncertainty_percent[grade]
        return min(less, 100.0) / 100, more / 100

    def all_bounds(self) -> dict[str, tuple[float, float]]:
        """Return `bounds` of every grade."""
        return {grade: self.bounds(grade) for grade in GRADES}


class _Label(msgspec.Struct):
    report: Policy = Policy()


def policy_of(site: Site) -> Policy:
    """
    Read what a site's operator says of its reports.

    Raises
    ------
    ConfigError
        It cannot be understood.
    """
    label = _label(site)
    try:
        found = msgspec.toml.decode(label.read_bytes(), type=_Label).report
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot use the table [report] of {label}: {error}; nothing was reported."
        ) from error
    unknown = sorted(set(found.uncertainty_percent) - set(GRADES))
    if unknown:
        raise ConfigError(
            f"{label}: report.uncertainty_percent has no grade {unknown[0]!r}. Grades are "
            f"{', '.join(GRADES)}; nothing was reported."
        )
    return found


def is_operator(site: Site) -> bool:
    """Tell whether who asks looks after the site: its owner, or root."""
    uid = os.geteuid()
    return uid in (0, _label(site).stat().st_uid)


def _label(site: Site) -> Path:
    return site.path / "site.toml"
