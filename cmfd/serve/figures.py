"""What a server counted, for Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cmfd import exposition
from cmfd.exposition import Family, Sample

if TYPE_CHECKING:
    from cmfd.sync.peer import About


class Figures:
    """Requests by what they asked for and how they were answered, since the server began."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._received_bytes: Counter[str] = Counter()
        self._sent_bytes: Counter[str] = Counter()
        self._refused_packs = 0
        self.n_under_way = 0

    def count(
        self, operation: str, status: int, *, duration_s: float, received: int, sent: int
    ) -> None:
        """
        Count a request.

        Parameters
        ----------
        operation : str
            What it asked for; empty for what there is not.
        status : int
            How it was answered; 0: not at all.
        duration_s : float
            How long that took.
        received, sent : int
            Bytes of the bodies.
        """
        self._requests[operation, status] += 1
        self._seconds[operation] += duration_s  # type: ignore[assignment] # a Counter adds anything
        self._received_bytes[operation] += received
        self._sent_bytes[operation] += sent

    def count_refused(self, n_packs: int) -> None:
        """Count packs that were not taken."""
        self._refused_packs += n_packs

    def text(self, about: About) -> str:
        """Return all of it, and how the site is, as Prometheus reads it."""
        families = [
            Family(
                "cmfd_serve_requests_total", "counter", "Requests, by operation and status.",
                [
                    Sample({"operation": name or "none", "status": str(status)}, count)
                    for (name, status), count in self._requests.items()
                ],
            ),
            self._by_operation("request_seconds_total", "Time that requests took.", self._seconds),
            self._by_operation(
                "received_bytes_total", "Bytes of bodies that came.", self._received_bytes
            ),
            self._by_operation("sent_bytes_total", "Bytes of bodies sent.", self._sent_bytes),
            _one("requests_under_way", "gauge", "Requests being answered.", self.n_under_way),
            _one("packs_refused_total", "counter", "Packs not taken.", self._refused_packs),
            _one("site_packs", "gauge", "Packs that the site has merged.", about.n_packs),
            _one("site_waiting_packs", "gauge", "Packs that wait for a merge.", about.n_waiting),
        ]  # fmt: skip
        return exposition.text(families)

    @staticmethod
    def _by_operation(name: str, told: str, counted: Counter[str]) -> Family:
        samples = [Sample({"operation": one or "none"}, value) for one, value in counted.items()]
        return Family(f"cmfd_serve_{name}", "counter", told, samples)


def _one(name: str, kind: str, told: str, value: float) -> Family:
    return Family(f"cmfd_serve_{name}", kind, told, [Sample({}, value)])  # type: ignore[arg-type] # a literal
