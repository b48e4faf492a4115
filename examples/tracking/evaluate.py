r"""
Stage 7: compare the tracks with what is true, in all of the detector and region by region.

    python examples/tracking/evaluate.py --events out/events --tracks out/tracks \
        --out out/evaluation
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matching import Counts, efficiency_figure, match, rows_of
from samples import REGIONS, TRUE, Truth, begin, events, parser, read

if TYPE_CHECKING:
    import argparse


def arguments() -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__)
    made.add_argument("--events", type=Path, required=True, help="what `preprocess.py` made")
    made.add_argument("--tracks", type=Path, required=True, help="what `tracks.py` made of it")
    return made.parse_args()


def main() -> None:
    """Count, and write the numbers and a figure."""
    args = arguments()
    found = []
    with begin("evaluate", args) as ex:
        for number, path in enumerate(events(args.events, "test")):
            truth = Truth(*read(ex, path, TRUE))
            with np.load(ex.input(args.tracks / f"{path.stem}.npz")) as stored:
                one = match(stored["track"], truth)
            found.append(one)
            ex.metric("event_efficiency", one.efficiency(), step=number)
            ex.metric("event_purity", one.purity(), step=number)
            ex.metric("event_particles", len(one.is_found), step=number)
            ex.metric("event_tracks", len(one.is_right), step=number)
            for region, name in enumerate(REGIONS):
                ex.slice(name, of=f"{path}::{TRUE[1]}", rows=rows_of(truth, region))
        counts = Counts.sum(found)

        numbers = {"efficiency": counts.efficiency(), "purity": counts.purity()}
        ex.metrics(numbers)
        for region, name in enumerate(REGIONS):
            ex.metric("efficiency", counts.efficiency(region), slice=name)
            ex.metric("purity", counts.purity(region), slice=name)
            numbers[f"efficiency.{name}"] = counts.efficiency(region)
            numbers[f"purity.{name}"] = counts.purity(region)

        metrics, figure = args.out / "metrics.json", args.out / "efficiency.svg"
        metrics.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")
        figure.write_text(efficiency_figure(counts), "utf-8")
        ex.output(metrics, kind="metrics")
        ex.output(figure, kind="other")
    print(f"efficiency {numbers['efficiency']:.3f}, purity {numbers['purity']:.3f}: {args.out}")


if __name__ == "__main__":
    main()
