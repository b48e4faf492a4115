"""What only the source says of a module: docstrings of attributes, annotations as written."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType


class Attribute(NamedTuple):
    """An annotated or assigned name, with the docstring below it."""

    annotation: str
    doc: str


@cache
def class_attributes(module: ModuleType) -> dict[str, dict[str, Attribute]]:
    """Return the attributes of each class of a module, by class and name."""
    tree = ast.parse(inspect.getsource(module))
    return {
        node.name: _attributes(node.body) for node in tree.body if isinstance(node, ast.ClassDef)
    }


@cache
def module_attributes(module: ModuleType) -> dict[str, Attribute]:
    """Return a module's own attributes by name."""
    return _attributes(ast.parse(inspect.getsource(module)).body)


def _attributes(body: list[ast.stmt]) -> dict[str, Attribute]:
    found = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        doc = _text_of(following)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = Attribute(ast.unparse(node.annotation), doc)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = Attribute("", doc)
    return found


def _text_of(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(node.value.value) if isinstance(node.value.value, str) else ""
    return ""
