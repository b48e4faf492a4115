"""How often laws are tried: on all examples, or on some of them in the fast tier."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

FAST, WHOLE = "fast", "whole"
FEWER = 5

# How fast examples are made says how busy the machine is, and nothing of a law.
_BUSY = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.register_profile(WHOLE, _BUSY)
settings.register_profile(FAST, _BUSY, max_examples=_BUSY.max_examples // FEWER)


def examples(count: int) -> int:
    """Say on how many examples a law is tried that is tried on `count` in all."""
    fast = settings.get_current_profile_name() == FAST
    return max(count // FEWER, 1) if fast else count
