"""
AMD GPUs, by the Python bindings of AMD SMI, which ROCm brings along.

A counter counts in units of some 15 microjoules. Of a GPU with two dies (MI250X) the first counts
for both, and the second says 0.
"""

from __future__ import annotations

from importlib import import_module, util
from typing import TYPE_CHECKING, Any

from cmfd.energy.readings import Gpu, Probe
from cmfd.energy.sources.gpus import Gpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.config import Settings
    from cmfd.energy.readings import Kind, Roots

_UW_PER_W = 1_000_000
_INSTALL = (
    "Install AMD SMI's bindings beside cmfd, of the version of ROCm that is here: "
    "pip install /opt/rocm/share/amd_smi."
)


class AmdSmi(Gpus):
    """The energy of each AMD GPU, by its UUID."""

    name = "amdsmi"
    bindings = "amdsmi"
    failure = "AmdSmiException"

    def __init__(self, roots: Roots, _settings: Settings) -> None:
        super().__init__()
        self._driver = roots.sys / "module" / "amdgpu"

    def probe(self) -> Probe:
        """Ask the driver for its GPUs, and each for its energy; without a driver, ask nothing."""
        if not self._driver.exists():
            return Probe(self.name, "absent", "no AMD driver", scope="gpu")
        if util.find_spec(self.bindings) is None:
            reason = "AMD's driver is here, the bindings of AMD SMI are not"
            return Probe(self.name, "broken", reason, _INSTALL, scope="gpu")
        try:
            self._load()
        except Exception as error:  # noqa: BLE001 - its import fails with whatever lacks in its library
            self.close()
            reason = f"AMD SMI cannot be used: {error}"
            return Probe(self.name, "broken", reason, _INSTALL, scope="gpu")
        try:
            return self.found("no AMD GPU that says its energy or power")
        finally:
            self.close()

    def gpus(self) -> list[Gpu]:
        """Return the GPUs."""
        return [Gpu(domain) for domain, _, _ in self._devices]

    def begin(self) -> None:
        """Have the library begin."""
        import_module(self.bindings).amdsmi_init()

    def end(self) -> None:
        """Have it end."""
        self.library.amdsmi_shut_down()

    def handles(self) -> Iterator[tuple[str, Any]]:
        """Yield each GPU."""
        for device in self.library.amdsmi_get_processor_handles():
            yield str(self.library.amdsmi_get_gpu_device_uuid(device)), device

    def can_tell(self, kind: Kind, device: Any) -> bool:
        """Tell whether a GPU says something; a second die says 0."""
        return bool(self.value(kind, device))

    def value(self, kind: Kind, device: Any) -> int:
        """Return energy, or power, which is under another name on each kind of GPU."""
        if kind == "counter":
            said = self.library.amdsmi_get_energy_count(device)
            return int(said["energy_accumulator"] * said["counter_resolution"])
        said = self.library.amdsmi_get_power_info(device)
        for key in ("current_socket_power", "average_socket_power"):
            if isinstance(said.get(key), int) and said[key]:
                return int(said[key]) * _UW_PER_W
        return 0
