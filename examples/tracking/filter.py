"""
Stage 5: train a classifier that tells true edges from others.

    python examples/tracking/filter.py --graphs out/graphs --out out/filter
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np
from classifiers import area_under_curve, fit_network, fit_trees, log_loss, probability
from samples import begin, events, parser

FIT = {"network": fit_network, "trees": fit_trees}

if TYPE_CHECKING:
    import argparse


def arguments() -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__)
    made.add_argument("--graphs", type=Path, required=True, help="what `graph.py` made")
    made.add_argument("--classifier", choices=list(FIT), default="network")
    made.add_argument("--iterations", type=int, default=60, help="epochs, or trees")
    made.add_argument("--lr", type=float, default=5e-3)
    made.add_argument("--seed", type=int, default=1)
    return made.parse_args()


def main() -> None:
    """Learn from all graphs but the last, and see how that goes with the last."""
    args = arguments()
    with begin("filter", args) as ex:
        graphs = [np.load(ex.input(path)) for path in events(args.graphs, "train")]
        learned, held = (graphs[:-1] or graphs), graphs[-1]
        features = np.concatenate([graph["features"] for graph in learned])
        label = np.concatenate([graph["label"] for graph in learned])
        model = FIT[args.classifier](features, label, args.iterations, args.lr, args.seed)

        score, true = probability(model, held["features"]), held["label"]
        area = area_under_curve(score, true)
        ex.metrics({"valid.loss": log_loss(score, true), "valid.auc": area})
        path = args.out / "filter.joblib"
        joblib.dump({"classifier": model, "radius": float(held["radius"])}, path)
        ex.model(path)
    print(f"area under the curve {area:.4f}, of {len(score)} edges")


if __name__ == "__main__":
    main()
