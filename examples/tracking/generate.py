"""
Stage 1: collisions in a toy detector, a file of raw hits for each.

    python examples/tracking/generate.py --out out/raw
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from detector import simulate
from samples import begin, own, ranks_parser

if TYPE_CHECKING:
    import argparse


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ranks_parser(__doc__)
    parser.add_argument("--train", type=int, default=4, help="events to learn from")
    parser.add_argument("--test", type=int, default=2, help="events that nothing learns from")
    parser.add_argument("--particles", type=int, default=60, help="in each event")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Simulate events, write each to a file of its own."""
    args = arguments()
    kinds = {"train": args.train, "test": args.test}
    names = [f"{kind}-{i:03}" for kind, n in kinds.items() for i in range(n)]
    with begin("generate", args) as ex:
        for number, name in own(ex, list(enumerate(names))):
            event = simulate(args.seed, number, args.particles)
            path = args.out / f"{name}.npz"
            np.savez(path, **event._asdict())
            ex.output(path)
            ex.metric("hits", len(event.layer), step=number)


if __name__ == "__main__":
    main()
