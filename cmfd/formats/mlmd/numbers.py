"""The numbers by which a file knows what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cmfd.formats.mlmd.graph import Node


def numbers(nodes: Mapping[str, Node]) -> dict[str, int]:
    """
    Give nodes numbers.

    Parameters
    ----------
    nodes : mapping of str to Node
        By their ids.

    Returns
    -------
    dict of str to int
        The numbers that they had in a file, if no two have the same; else new ones, by time.
    """
    had = {ref: node.id for ref, node in nodes.items()}
    if len(set(had.values())) == len(had) and all(number > 0 for number in had.values()):
        return had
    order = sorted(nodes, key=lambda ref: (nodes[ref].created_ms or 1 << 62, nodes[ref].id, ref))
    return {ref: number for number, ref in enumerate(order, 1)}
