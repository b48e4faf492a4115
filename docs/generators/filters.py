"""The fields of the filter language."""

from __future__ import annotations

from cmfd.query.fields import CONDITIONS, GROUPS, condition_of
from docs.generators.markdown import code, table


def fields() -> str:
    """Return the table of fields."""
    rows = [(code(name), one.kind.value, one.meaning) for name, one in CONDITIONS.items()]
    groups = [
        (code(f"{name}.NAME"), condition_of(f"{name}.x").kind.value, meaning)
        for name, meaning in GROUPS.items()
    ]
    return table(("Field", "Type", "Meaning"), rows + groups)


SECTIONS = {"fields": fields}
