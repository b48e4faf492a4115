"""
The node's power by Redfish, from its controller's web service.

Of the chassis, the first is taken that says a power: `EnvironmentMetrics.PowerWatts` (DSP0268,
2021 and later), else `Power.PowerControl[0].PowerConsumedWatts`. A setting that names such a
resource itself is asked for that alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cmfd.energy.sources.slow import SlowSource, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.config import Settings
    from cmfd.energy.readings import Roots
    from cmfd.energy.sources.web import Service

_CHASSIS = "/redfish/v1/Chassis"


class Redfish(SlowSource):
    """What a node's controller answers over HTTP."""

    name = "redfish"

    def __init__(self, _roots: Roots, settings: Settings) -> None:
        super().__init__()
        node = os.uname().nodename.partition(".")[0]
        self._url = settings.energy_redfish_url.replace("{node}", node).rstrip("/")
        self._credentials = settings.energy_redfish_credentials
        self._authority = settings.energy_redfish_ca
        self._resource = ""
        self._service: Service | None = None

    def power_w(self) -> float:
        """Ask the resource that said a power before, else look for one that does."""
        if not self._url:
            raise Unanswered("absent", "energy_redfish_url names no service")
        if self._resource:
            power_w = _power_in(self._get(self._resource))
            if power_w is not None:
                return power_w
        for resource in self._resources():
            power_w = _power_in(self._get(resource))
            if power_w is not None:
                self._resource = resource
                return power_w
        raise Unanswered("broken", f"no chassis of {self._url} says a power")

    def _resources(self) -> Iterator[str]:
        """Yield what may say a power."""
        if path := urlsplit(self._url).path:
            yield path
            return
        for member in self._get(_CHASSIS).get("Members", []):
            chassis = self._get(_link(member))
            for key in ("EnvironmentMetrics", "Power"):
                if link := _link(chassis.get(key)):
                    yield link

    def _get(self, path: str) -> dict[str, Any]:
        if self._service is None:
            # HTTP and TLS: no daemon of a node without such a service need load them.
            from cmfd.energy.sources.web import Service  # noqa: PLC0415

            self._service = Service(self._url, self._credentials, self._authority)
        return self._service.get(path)


def _link(value: Any) -> str:
    found = value.get("@odata.id", "") if isinstance(value, dict) else ""
    return found if isinstance(found, str) and found.startswith("/") else ""


def _power_in(resource: dict[str, Any]) -> float | None:
    """Return the watts that a resource says."""
    reading = resource.get("PowerWatts")
    control = resource.get("PowerControl")
    power_w = reading.get("Reading") if isinstance(reading, dict) else None
    if power_w is None and isinstance(control, list) and control and isinstance(control[0], dict):
        power_w = control[0].get("PowerConsumedWatts")
    return float(power_w) if isinstance(power_w, int | float) and power_w > 0 else None
