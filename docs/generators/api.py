"""The API that programs log to, from its docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Any

import cmfd
from cmfd.query.site import Site
from docs.generators.markdown import code, prose, table

if TYPE_CHECKING:
    from collections.abc import Callable

_SECTION = re.compile(r"^(\w+)\n-+\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\S[^\n]*)\n((?:[ ]{4}[^\n]*\n?|\n)*)", re.MULTILINE)
_OF_ANOTHER_PART = ("after_fork", "begin", "append", "fact", "describe", "close")
"""Methods of `Execution` that other parts of cmfd call, and programs need not."""


def start() -> str:
    """Return the reference of `cmfd.start` and `cmfd.current`."""
    return "\n\n".join(_function(f"cmfd.{f.__name__}", f) for f in (cmfd.start, cmfd.current))


def execution() -> str:
    """Return the reference of `Execution`."""
    methods = [
        _function(f"Execution.{name}", member)
        for name, member in vars(cmfd.Execution).items()
        if inspect.isfunction(member) and name[0] != "_" and name not in _OF_ANOTHER_PART
    ]
    return "\n\n".join(["### `Execution`", _described(cmfd.Execution), *methods])


def functions() -> str:
    """Return the module's functions, each with the method that it stands for."""
    rows = [
        (code(f"cmfd.{name}{_signature(member)}"), _first_line(member))
        for name in cmfd.__all__
        if inspect.isfunction(member := getattr(cmfd, name)) and member.__module__ == "cmfd"
    ]
    return table(("Function", "Meaning"), rows)


def _first_line(member: Any) -> str:
    return prose(inspect.cleandoc(member.__doc__ or "").partition("\n")[0])


def _function(name: str, member: Callable[..., Any]) -> str:
    written = f"```python\n{name}{_signature(member)}\n```"
    return "\n\n".join([f"### `{name}`", written, _described(member)])


def _signature(member: Callable[..., Any]) -> str:
    """Return parameters and result as they are written in the source."""
    node = ast.parse(textwrap.dedent(inspect.getsource(member))).body[0]
    assert isinstance(node, ast.FunctionDef)
    for arguments in (node.args.posonlyargs, node.args.args):
        arguments[:] = [item for item in arguments if item.arg != "self"]
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(node.args)}){result}"


def _described(member: Any) -> str:
    """Return a numpydoc docstring as Markdown: its text, then a list for each section."""
    text, *rest = _SECTION.split(inspect.cleandoc(member.__doc__ or ""))
    parts = [prose(text)]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        items = [_item(title, head, below) for head, below in _ENTRY.findall(body)]
        parts += [f"**{title}**", "\n".join(items)]
    return "\n\n".join(parts)


def _item(title: str, head: str, below: str) -> str:
    said = prose(" ".join(below.split()))
    names, _, kind = head.partition(" : ")
    if title in ("Returns", "Yields", "Raises"):
        return f"- *{head}*: {said}"
    described = f"- {', '.join(code(name) for name in names.split(', '))}"
    return f"{described} (*{kind}*): {said}" if kind else f"{described}: {said}"


def site() -> str:
    """Return the reference of `Site`, which answers questions."""
    methods = [
        _function(f"Site.{name}", member)
        for name, member in vars(Site).items()
        if inspect.isfunction(member) and name[0] != "_"
    ]
    return "\n\n".join(["### `Site`", _described(Site), *methods])


SECTIONS = {"site": site, "start": start, "execution": execution, "functions": functions}
