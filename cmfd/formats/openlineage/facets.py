"""
Facets that OpenLineage has not: SLURM's job, MPI, parameters, metrics, energy, carbon, content.

Each has a schema in `schemas.json` beside this file, by which `cmfd export openlineage --schemas`
shows what they mean. Versions are in the names: a schema that is out never changes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attr
from openlineage.client.facet_v2 import DatasetFacet, RunFacet

SCHEMAS = Path(__file__).with_name("schemas.json")
BASE = "urn:cmfd:openlineage:1-0-0"
"""Names the schemas: `schemas.json` has it as its ``$id``."""


def schemas() -> dict[str, Any]:
    """Return the schemas of the facets, as one JSON schema with a definition for each."""
    found: dict[str, Any] = json.loads(SCHEMAS.read_text("utf-8"))
    return found


@attr.define
class SlurmRunFacet(RunFacet):
    """What SLURM says of the job that a run is a start of."""

    job: str
    restart: int
    facts: dict[str, Any]

    @staticmethod
    def _get_schema() -> str:
        return f"{BASE}#/$defs/SlurmRunFacet"


@attr.define
class MpiRunFacet(RunFacet):
    """The processes of an execution."""

    nRanks: int  # noqa: N815 - OpenLineage's names are camel case
    hosts: list[str]

    @staticmethod
    def _get_schema() -> str:
        return f"{BASE}#/$defs/MpiRunFacet"


@attr.define
class HyperparametersRunFacet(RunFacet):
    """The parameters of an execution."""

    parameters: dict[str, list[Any]]

    @staticmethod
    def _get_schema() -> str:
        return f"{BASE}#/$defs/HyperparametersRunFacet"


@attr.define
class MetricsRunFacet(RunFacet):
    """The figures of an execution's metrics."""

    metrics: dict[str, dict[str, Any]]

    @staticmethod
    def _get_schema() -> str:
        return f"{BASE}#/$defs/MetricsRunFacet"


@attr.define
class EnergyRunFacet(RunFacet):
    """What a run or an execution took."""

    components: list[dict[str, Any]]
    lowJoules: float | None = None  # noqa: N815 - as above
    highJoules: float | None = None  # noqa: N815 - as above
    grade: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{BASE}#/$defs/EnergyRunFacet"


@attr.define
class CarbonRunFacet(RunFacet):
    """What that means in emissions."""

    factorSet: str  # noqa: N815 - as above
    factorSetName: str  # noqa: N815 - as above
    coveredShare: float  # noqa: N815 - as above
    missing: list[str]
    operationalGco2e: float | None = None  # noqa: N815 - as above
    lowGco2e: float | None = None  # noqa: N815 - as above
    highGco2e: float | None = None  # noqa: N815 - as above
    marketGco2e: float | None = None  # noqa: N815 - as above
    intensityGco2ePerKwh: float | None = None  # noqa: N815 - as above
    pue: float | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{BASE}#/$defs/CarbonRunFacet"


@attr.define
class ContentDatasetFacet(DatasetFacet):
    """What content a dataset had."""

    digest: str
    kind: str
    strong: str | None = None
    problem: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{BASE}#/$defs/ContentDatasetFacet"
