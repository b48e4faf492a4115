"""
Stage 3: train a network that puts hits of one track beside each other.

    python examples/tracking/embed.py --events out/events --out out/embedding
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from embedding import learn_event
from network import Adam, Network
from samples import begin, events, parser, read_event

if TYPE_CHECKING:
    import argparse


def arguments() -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__)
    made.add_argument("--events", type=Path, required=True, help="what `preprocess.py` made")
    made.add_argument("--use", type=int, default=1000, help="learn from so many events at most")
    made.add_argument("--dimensions", type=int, default=6, help="of the embedding")
    made.add_argument("--width", type=int, default=48, help="neurons in each hidden layer")
    made.add_argument("--epochs", type=int, default=20)
    made.add_argument("--lr", type=float, default=5e-3)
    made.add_argument("--seed", type=int, default=1)
    return made.parse_args()


def main() -> None:
    """Learn from the training events, again and again."""
    args = arguments()
    with begin("embed", args) as ex:
        sample = [read_event(ex, path) for path in events(args.events, "train")[: args.use]]
        features = np.concatenate([hits.features for hits, _ in sample])
        network = Network.new(features, args.width, args.dimensions, args.seed)
        adam = Adam(network.weights, args.lr)
        rng = np.random.default_rng(args.seed)
        for epoch in range(args.epochs):
            order = rng.permutation(len(sample))
            losses = [learn_event(network, adam, sample[i], rng) for i in order]
            ex.metric("loss", np.mean(losses), step=epoch)
        network.save(args.out / "embedding.npz")
        ex.model(args.out / "embedding.npz", framework="numpy")
    print(f"loss {np.mean(losses):.3f} after {args.epochs} epochs")


if __name__ == "__main__":
    main()
