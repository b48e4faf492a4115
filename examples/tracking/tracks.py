r"""
Stage 6: find the tracks of events that nothing has learned from, from their hits alone.

    python examples/tracking/tracks.py --events out/events --embedding out/embedding \
        --filter out/filter --out out/tracks

The inference of the pipeline, all of it: how long it took for each event is logged here.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np
from classifiers import probability
from graphs import build_tracks, edge_features, radius_graph
from network import Network
from samples import begin, events, own, ranks_parser, read_hits

if TYPE_CHECKING:
    import argparse


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ranks_parser(__doc__)
    parser.add_argument("--events", type=Path, required=True, help="what `preprocess.py` made")
    parser.add_argument("--embedding", type=Path, required=True, help="what `embed.py` made")
    parser.add_argument("--filter", type=Path, required=True, help="what `filter.py` made of it")
    parser.add_argument("--builder", choices=["walk", "components"], default="walk")
    parser.add_argument("--cut", type=float, default=0.3, help="least score of an edge")
    return parser.parse_args()


def main() -> None:
    """Find the tracks of each test event."""
    args = arguments()
    with begin("tracks", args) as ex:
        network = Network.load(ex.input(args.embedding / "embedding.npz", kind="model"))
        model = joblib.load(ex.input(args.filter / "filter.joblib", kind="model"))
        for number, path in own(ex, list(enumerate(events(args.events, "test")))):
            hits = read_hits(ex, path)
            times_s = [time.perf_counter()]
            place = network(hits.features)
            times_s.append(time.perf_counter())
            edges = radius_graph(place, hits.position, hits.layer, model["radius"])
            times_s.append(time.perf_counter())
            features = edge_features(edges, place, hits.position)
            score = probability(model["classifier"], features)
            times_s.append(time.perf_counter())
            track = build_tracks(edges, score, len(hits.layer), args.cut, args.builder)
            times_s.append(time.perf_counter())

            names = ("embed_s", "graph_s", "filter_s", "build_s")
            took_s = dict(zip(names, np.diff(times_s), strict=True))
            ex.metrics({"inference_s": times_s[-1] - times_s[0], **took_s}, step=number)
            out = args.out / f"{path.stem}.npz"
            np.savez(out, track=track)
            ex.output(out)


if __name__ == "__main__":
    main()
