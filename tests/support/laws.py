"""How often laws are tried: on all examples, or on some of them in the fast tier."""

from __future__ import annotations

from hypothesis import settings

FAST = "fast"
FEWER = 5

settings.register_profile(FAST, max_examples=100 // FEWER)  # 100: what Hypothesis tries


def examples(count: int) -> int:
    """Say on how many examples a law is tried that is tried on `count` in all."""
    fast = settings.get_current_profile_name() == FAST
    return max(count // FEWER, 1) if fast else count
