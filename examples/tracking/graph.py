"""
Stage 4: join hits that lie near each other in the embedding.

    python examples/tracking/graph.py --events out/events --embedding out/embedding --out out/graphs
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from graphs import edge_features, is_true, radius_graph, track_pairs
from network import Network
from samples import begin, events, own, ranks_parser, read_event

if TYPE_CHECKING:
    import argparse


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ranks_parser(__doc__)
    parser.add_argument("--events", type=Path, required=True, help="what `preprocess.py` made")
    parser.add_argument("--embedding", type=Path, required=True, help="what `embed.py` made")
    parser.add_argument("--radius", type=float, default=0.6, help="within which hits are joined")
    return parser.parse_args()


def main() -> None:
    """Make a graph of each training event."""
    args = arguments()
    with begin("graph", args) as ex:
        network = Network.load(ex.input(args.embedding / "embedding.npz", kind="model"))
        files = events(args.events, "train")
        for number, path in own(ex, list(enumerate(files))):
            hits, truth = read_event(ex, path)
            place = network(hits.features)
            edges = radius_graph(place, hits.position, hits.layer, args.radius)
            label = is_true(edges, hits.position, truth.particle)
            out = args.out / f"{path.stem}.npz"
            np.savez(
                out, edges=edges, features=edge_features(edges, place, hits.position), label=label,
                radius=args.radius,
            )  # fmt: skip
            ex.output(out)
            n_true = len(track_pairs(hits.position, truth.particle))
            values = {
                "edges": len(edges),
                "edge.efficiency": label.sum() / n_true,
                "edge.purity": label.mean(),
            }
            ex.metrics(values, step=number)


if __name__ == "__main__":
    main()
