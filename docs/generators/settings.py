"""The table of settings, from `cmfd.config`."""

from __future__ import annotations

from cmfd.config import describe_settings
from docs.generators.markdown import code, table

_LONG = 80
"""A default that is longer has a place of its own."""


def settings() -> str:
    """Return every setting with its variable, type, default and meaning."""
    rows = [
        (code(item.key), code(item.variable), item.type, _default(item.default), item.meaning)
        for item in describe_settings()
    ]
    return table(("Key", "Variable", "Type", "Default", "Meaning"), rows)


def env_allow() -> str:
    """Return the default patterns of `env_allow`."""
    from cmfd.config import ENV_ALLOW  # noqa: PLC0415 - beside its only use

    return ", ".join(code(pattern) for pattern in ENV_ALLOW)


def _default(default: str) -> str:
    return "below" if len(default) > _LONG else code(default)


SECTIONS = {"settings": settings, "env_allow": env_allow}
