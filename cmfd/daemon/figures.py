"""What a daemon counts about itself, for its status document."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field

from cmfd.daemon.options import SECOND_NS

KEPT_SAMPLES = 2048
"""Latencies are those of the last so many; enough for a p99."""


class Latencies:
    """The last few durations of one kind."""

    def __init__(self) -> None:
        self._samples_ns: deque[int] = deque(maxlen=KEPT_SAMPLES)

    def add(self, took_ns: int) -> None:
        """Note a duration."""
        self._samples_ns.append(took_ns)

    def document(self) -> dict[str, float | int]:
        """Return count, median, 99th percentile and greatest, in seconds."""
        ordered = sorted(self._samples_ns)
        if not ordered:
            return {"samples": 0}
        last = len(ordered) - 1
        return {
            "samples": len(ordered),
            "p50_s": ordered[last // 2] / SECOND_NS,
            "p99_s": ordered[last * 99 // 100] / SECOND_NS,
            "max_s": ordered[last] / SECOND_NS,
        }


@dataclass
class Counts:
    """Totals since the daemon started; each name says of what."""

    slices_received: int = 0
    bytes_received: int = 0
    values_received: int = 0
    commits: int = 0
    commits_failed: int = 0
    slices_committed: int = 0
    bytes_committed: int = 0
    slices_unusable: int = 0
    """The store could not take them; their journals keep them."""
    malformed: int = 0
    refused: int = 0
    overruns: int = 0
    """Clients cut off for sending more than they were granted."""
    unknown: int = 0
    """Messages from connections that had not said hello."""
    vanished: int = 0
    journals_adopted: int = 0
    journals_unreadable: int = 0
    packs_published: int = 0
    publishes_failed: int = 0
    merges_started: int = 0
    merges_failed: int = 0


@dataclass
class Figures:
    """Everything counted and timed."""

    counts: Counts = field(default_factory=Counts)
    commit: Latencies = field(default_factory=Latencies)
    ack: Latencies = field(default_factory=Latencies)
    """From taking in a client's first slice of a batch to acknowledging it."""

    def document(self) -> dict[str, object]:
        """Return all of it as what JSON can hold."""
        return {
            **asdict(self.counts),
            "commit_latency": self.commit.document(),
            "ack_latency": self.ack.document(),
        }
