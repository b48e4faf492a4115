"""
The node's power by Redfish, from its controller's web service.

Of the chassis, the first is taken that says a power: `EnvironmentMetrics.PowerWatts` (DSP0268,
2021 and later), else `Power.PowerControl[0].PowerConsumedWatts`. A setting that names such a
resource itself is asked for that alone.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cmfd.energy.sources.slow import SlowSource, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.config import Settings
    from cmfd.energy.readings import Roots

_TIMEOUT_S = 5.0
_MOST_BYTES = 1 << 20
_CHASSIS = "/redfish/v1/Chassis"

_REACH = (
    "See whether it can be reached from here. A service of systemd may use the network only if its"
    " unit says so: systemctl edit cmfd, RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6."
)


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
        self._headers: dict[str, str] | None = None

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
        parts = urlsplit(self._url)
        request = urllib.request.Request(  # noqa: S310 - `_opener` knows http and https only
            f"{parts.scheme}://{parts.netloc}{path}", headers=self._authorised()
        )
        try:
            with self._opener(parts.scheme).open(request, timeout=_TIMEOUT_S) as answer:
                found = json.loads(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403):
                reason = f"{parts.netloc} refuses the user and password ({error.code})"
                advice = "Correct the file that energy_redfish_credentials names."
                raise Unanswered("denied", reason, advice) from None
            raise Unanswered("broken", f"{parts.netloc}{path}: HTTP {error.code}") from None
        except OSError as error:
            raise Unanswered("broken", f"{parts.netloc}: {error}", _REACH) from None
        except ValueError as error:
            raise Unanswered("broken", f"{parts.netloc}: {error}") from None
        return found if isinstance(found, dict) else {}

    def _opener(self, scheme: str) -> urllib.request.OpenerDirector:
        """Return what asks this service alone: no proxy, no other scheme, no redirection."""
        opener = urllib.request.OpenerDirector()
        if scheme == "https":
            opener.add_handler(urllib.request.HTTPSHandler(context=self._trust()))
        else:
            opener.add_handler(urllib.request.HTTPHandler())
        opener.add_handler(urllib.request.HTTPErrorProcessor())
        opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
        opener.add_handler(urllib.request.UnknownHandler())
        return opener

    def _trust(self) -> ssl.SSLContext:
        """Trust the certificate that was named, whatever host it is for, else the system's."""
        if not self._authority:
            return ssl.create_default_context()
        context = ssl.create_default_context(cafile=Path(self._authority).expanduser())
        context.check_hostname = False  # controllers come with certificates for no host
        return context

    def _authorised(self) -> dict[str, str]:
        """Return the headers, with the user and password that a file of this user says."""
        if self._headers is None:
            self._headers = {"Accept": "application/json"}
            if self._credentials:
                said = base64.b64encode(_secret(Path(self._credentials).expanduser())).decode()
                self._headers["Authorization"] = f"Basic {said}"
        return self._headers


def _secret(path: Path) -> bytes:
    """Return a file's line; it must be for its owner's eyes alone."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Unanswered("broken", f"{path} can be read by others", f"chmod 600 {path}")
        return path.read_bytes().strip()
    except OSError as error:
        raise Unanswered("broken", f"{path} cannot be read: {error.strerror}") from None


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
