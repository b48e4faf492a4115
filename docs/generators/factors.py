"""The keys of a factor set, from its types."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from cmfd.carbon import factors as module
from cmfd.carbon import series as series_module
from cmfd.carbon.factors import FactorSet
from docs.generators.markdown import code, prose, table
from docs.generators.source import Attribute, class_attributes

_TABLES = {
    "FactorSet": "The file",
    "Place": "`[[places]]`",
    "Pue": "`pue` of a place",
    "Constant": "`constant` of a place",
    "Contract": "`contracts` of a place",
    "Residual": "`residual` of a place",
    "NodeType": "`[[node_types]]`",
}
_BOUNDS = {
    "minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"
}  # fmt: skip


def keys() -> str:
    """Return a table of the keys of each part of a factor set."""
    parts = msgspec.json.schema(FactorSet)["$defs"]
    return "\n\n".join(_part(name, title, parts[name]) for name, title in _TABLES.items())


def columns() -> str:
    """Return the columns of a CSV file of intensities."""
    return "\n".join(("```text", ",".join(series_module.COLUMNS), "```"))


def _part(name: str, title: str, schema: dict[str, Any]) -> str:
    kind = getattr(module, name)
    said = class_attributes(module)
    docs = {**said["Period"], **said[name]} if issubclass(kind, module.Period) else said[name]
    required = schema.get("required", ())
    rows = [
        (
            code(key),
            _time(docs[key]) or _type(item),
            "yes" if key in required else "",
            prose(docs[key].doc),
        )
        for key, item in schema["properties"].items()
    ]
    heading = prose(inspect.cleandoc(kind.__doc__))
    return f"### {title}\n\n{heading}\n\n{table(('Key', 'Type', 'Needed', 'Meaning'), rows)}"


def _time(attribute: Attribute) -> str:
    return "time, in UTC" if "datetime" in attribute.annotation else ""


def _type(item: dict[str, Any]) -> str:
    """Say a type in words."""
    if "anyOf" in item:
        item = next(one for one in item["anyOf"] if one.get("type") != "null")
    if "$ref" in item:
        return "table"
    if "enum" in item:
        return " or ".join(map(code, item["enum"]))
    if item.get("type") == "array":
        inner = _type(item["items"])
        return "tables" if inner == "table" else f"list of {inner}"
    if item.get("type") == "object":
        return f"table of {_type(item['additionalProperties'])}"
    bounds = [f"{word} {item[key]:g}" for key, word in _BOUNDS.items() if key in item]
    return " ".join([{"string": "text"}.get(item["type"], item["type"]), *bounds])


SECTIONS = {"keys": keys, "columns": columns}
