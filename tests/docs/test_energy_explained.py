"""The example in the explanation of energy is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from cmfd.energy.split import Claim, Share, Weights, split

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "energy.md"


def test_the_example_is_calculated_as_it_says() -> None:
    """Readers check the law with it."""
    text = PAGE.read_text("utf-8").partition("## An example")[2]
    said = re.search(r"capacity (\d+), energy (\d+) uJ, static (\d+) uJ", text)
    assert said is not None
    capacity, energy_uj, static_uj = map(int, said.groups())
    lines = re.findall(r"^(A|B|idle|system) +(\d+) +(\d+) +(\d+) +(\d+)$", text, re.MULTILINE)
    table = {name: tuple(map(int, numbers)) for name, *numbers in lines}
    weights: Weights[str] = Weights()
    claims = [Claim(name, table[name][0], table[name][1]) for name in "AB"]
    weights.add(claims, capacity, sum(row[1] for row in table.values()), 10**9)

    whose = split(energy_uj, static_uj, weights)

    found = {**whose.shares, "idle": whose.idle, "system": whose.system}
    assert found == {name: Share(*row[2:]) for name, row in table.items()}
    assert sum(row[0] for row in table.values()) == capacity
    assert sum(row[2] + row[3] for row in table.values()) == energy_uj
