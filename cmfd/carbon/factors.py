"""
A factor set: the choices that turn energy into emissions, in one TOML file.

    name = "2026"

    [[places]]                  # the first that a node's name matches
    nodes = ["*"]
    zone = "GB"                 # of intensity series
    order = ["series", "country"]
    country = "GBR"
    pue = [{ value = 1.2, source = "metered" }]

    [[node_types]]
    name = "standard"
    nodes = ["*"]
    embodied_kg = 1100.0
    lifetime_years = 6.0

Its id is the SHA-256 of the file. A number is exactly what is written: 0.1 is one tenth.
"""

from __future__ import annotations

import hashlib
import math
from datetime import datetime  # noqa: TC003 - msgspec reads it
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from cmfd.carbon.instants import datetime_ns
from cmfd.errors import FactorsError

if TYPE_CHECKING:
    from collections.abc import Sequence

YEAR_S = 31_557_600
"""A Julian year."""

Kind = Literal["series", "regional", "country", "constant"]
Text = Annotated[str, Meta(min_length=1)]
Share = Annotated[float, Meta(gt=0, le=1)]
Spread = Annotated[float, Meta(ge=0, lt=1)]
Grams = Annotated[float, Meta(ge=0, le=5000)]
Patterns = Annotated[tuple[Text, ...], Meta(min_length=1)]

ALWAYS_NS = (-(1 << 20) * 86_400_000_000_000, (1 << 20) * 86_400_000_000_000)
"""Days before and after 1970 that no calendar of Python reaches: an open begin, an open end."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a factor set consists of."""


class Period(_Part, frozen=True, kw_only=True):
    """A time, half-open; without a start or an end, it is open there."""

    start_utc: datetime | None = None
    """From then on, as `2026-01-01T00:00:00Z`; without it, from ever."""
    end_utc: datetime | None = None
    """Until just before then; without it, for ever."""

    @property
    def span_ns(self) -> tuple[int, int]:
        """From when to when."""
        began_ns = ALWAYS_NS[0] if self.start_utc is None else datetime_ns(self.start_utc)
        return began_ns, ALWAYS_NS[1] if self.end_utc is None else datetime_ns(self.end_utc)

    def __post_init__(self) -> None:
        """Refuse what is not in UTC or ends before it begins."""
        began_ns, ended_ns = self.span_ns
        if began_ns >= ended_ns:
            raise ValueError("end_utc is not after start_utc")


class Pue(Period, frozen=True, kw_only=True):
    """Power usage effectiveness: energy of the whole facility over that of its machines."""

    value: Annotated[float, Meta(ge=1, le=10)]
    """Mean of that time."""
    source: Text
    """Who says so; reports name it."""
    uncertainty: Spread = 0.0
    """How far it may be off, as a share of it."""


class Contract(Period, frozen=True, kw_only=True):
    """A market-based factor: what share of the energy a contract supplies, and what it emits."""

    share: Share = 1.0
    """Of the energy, that it supplies."""
    g_per_kwh: Grams
    """What that emits, in gCO2e."""
    source: Text
    """Which contract; reports name it."""


class Residual(_Part, frozen=True, kw_only=True):
    """The residual mix, for what no contract supplies."""

    g_per_kwh: Grams
    """What it emits, in gCO2e."""
    source: Text
    """Who says so; reports name it."""


class Constant(_Part, frozen=True, kw_only=True):
    """A location-based intensity that somebody answers for."""

    g_per_kwh: Grams
    """Of the grid, in gCO2e."""
    source: Text
    """Who answers for it; reports name it."""


class Place(_Part, frozen=True, kw_only=True):
    """Where nodes stand: their grid, their facility, their contracts."""

    nodes: Patterns
    """Shell patterns of their names."""
    order: Annotated[tuple[Kind, ...], Meta(min_length=1)]
    """Where intensities are from: what the first does not have, the next may."""
    pue: Annotated[tuple[Pue, ...], Meta(min_length=1)]
    """Of the facility, over time; of a time without one, nothing is said."""
    zone: str = ""
    """Of series, as in their column."""
    basis: Literal["average", "marginal"] = "average"
    """Of series: what all of the grid emits, or what one kilowatt hour more would."""
    scope: Literal["lifecycle", "direct"] = "lifecycle"
    """Of series: with building and fuel supply, or burning alone."""
    series: tuple[Annotated[str, Meta(pattern="^[0-9a-f]{12,64}$")], ...] = ()
    """Only these, by their SHA-256 or its beginning; empty: all, the latest import first."""
    country: Annotated[str, Meta(pattern="^([A-Z]{3})?$")] = ""
    """ISO 3166-1 alpha-3, for `country` and `regional`."""
    region: str = ""
    """As `california`, `quebec`, `beijing`, `SE3`, for `regional`."""
    constant: Constant | None = None
    """For `constant`."""
    contracts: tuple[Contract, ...] = ()
    """For market-based figures."""
    residual: Residual | None = None
    """For what contracts do not supply; without it, they must supply all."""
    uncertainty: dict[Kind, Spread] = {}
    """How far intensities of a kind may be off, as shares of them."""

    def __post_init__(self) -> None:
        """Refuse sources without what they need, and times with two values."""
        needed: dict[str, object] = {
            "series": self.zone, "regional": self.country and self.region,
            "country": self.country, "constant": self.constant,
        }  # fmt: skip
        keys = {"series": "zone", "regional": "country and region"}
        for kind in self.order:
            if not needed[kind]:
                raise ValueError(f'order names "{kind}", which needs {keys.get(kind, kind)}')
        if len(set(self.order)) < len(self.order):
            raise ValueError("order names a source twice")
        if self.basis == "marginal" and {"regional", "country"} & set(self.order):
            raise ValueError(
                "regional and country have averages, which are no marginal intensities"
            )
        if any(one[1] > two[0] for one, two in pairwise(sorted(p.span_ns for p in self.pue))):
            raise ValueError("two of pue are for the same time")
        for began_ns in (contract.span_ns[0] for contract in self.contracts):
            if sum(exact(one.share) for one in within(self.contracts, began_ns)) > 1:
                raise ValueError("contracts supply more than all of the energy")


class NodeType(_Part, frozen=True, kw_only=True):
    """Hardware, and what making it has emitted (TE and EL of SCI)."""

    name: Text
    """What it is called; reports name it."""
    nodes: Patterns
    """Shell patterns of their names; the first type that fits counts."""
    embodied_kg: Annotated[float, Meta(ge=0)]
    """Of one node, in kgCO2e, with its share of what serves all: network, storage, racks."""
    lifetime_years: Annotated[float, Meta(gt=0, le=100)]
    """How long it is to be used."""
    source: Text
    """Who says so; reports name it."""

    def grams_per_ns(self) -> Fraction:
        """Return what a nanosecond of all of the node emits."""
        lifetime_ns = exact(self.lifetime_years) * YEAR_S * 10**9
        return exact(self.embodied_kg) * 1000 / lifetime_ns


class FactorSet(_Part, frozen=True, kw_only=True):
    """The factors of a site."""

    name: Text
    """What it is called; commands take it for the id."""
    places: Annotated[tuple[Place, ...], Meta(min_length=1)]
    """Where nodes stand; the first place that fits a node counts."""
    node_types: tuple[NodeType, ...] = ()
    """What nodes are, for embodied emissions."""
    note: str = ""
    """For people."""

    def place_of(self, node: str) -> Place | None:
        """Return where a node stands; None if no place has its name."""
        return _matching(self.places, node)

    def type_of(self, node: str) -> NodeType | None:
        """Return what hardware a node is; None if no type has its name."""
        return _matching(self.node_types, node)


P = TypeVar("P", bound=Period)
N = TypeVar("N", Place, NodeType)


def _matching(items: Sequence[N], node: str) -> N | None:
    for item in items:
        if any(fnmatchcase(node, pattern) for pattern in item.nodes):
            return item
    return None


def within(periods: Sequence[P], at_ns: int) -> list[P]:
    """Return the periods that a point in time is within."""
    return [one for one in periods if one.span_ns[0] <= at_ns < one.span_ns[1]]


def exact(value: float) -> Fraction:
    """Return a number as it is written."""
    return Fraction(repr(value))


def parse(text: str, name: str) -> FactorSet:
    """
    Read a factor set.

    Parameters
    ----------
    text : str
        The file.
    name : str
        What the file is called, for messages.

    Raises
    ------
    FactorsError
        It is none; the message says where, and nothing was taken.
    """
    try:
        _refuse_endless(msgspec.toml.decode(text), name)
        return msgspec.toml.decode(text, type=FactorSet)
    except (msgspec.DecodeError, ValueError) as error:
        raise FactorsError(
            f"{name} is no factor set: {error}. Nothing was changed; correct it and add it again."
        ) from error


def _refuse_endless(value: object, key: str) -> None:
    """Refuse what TOML calls a number and bounds let through: NaN, and infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number")
    if isinstance(value, dict):
        for inner, below in value.items():
            _refuse_endless(below, inner)
    elif isinstance(value, list):
        for below in value:
            _refuse_endless(below, key)


def id_of(text: str) -> str:
    """Return the id of a factor set: the SHA-256 of its file."""
    return hashlib.sha256(text.encode()).hexdigest()
