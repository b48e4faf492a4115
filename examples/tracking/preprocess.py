"""
Stage 2: raw hits become HDF5 files, with features to learn from.

    python examples/tracking/preprocess.py --raw out/raw --out out/events

What is true is in other data sets than what is seen: the truth is the same whatever the features.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from samples import SEEN, TRUE, begin, eta_of, events, own, ranks_parser, write

if TYPE_CHECKING:
    import argparse

    from detector import Array

SCALE_MM = (660.0, 1800.0)  # the size of the detector, across and along


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ranks_parser(__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="what `generate.py` made")
    parser.add_argument(
        "--features", choices=["cylindrical", "conformal"], default="conformal",
        help="conformal: circles through the beam become straight lines",
    )  # fmt: skip
    return parser.parse_args()


def features_of(position: Array, kind: str) -> Array:
    """Return what is learned from, each of about the size of one."""
    x, y, z = position.T.astype("f8")
    r = np.hypot(x, y)
    columns = [x / r, y / r, r / SCALE_MM[0], z / SCALE_MM[1]]
    if kind == "conformal":
        columns += [30 * x / r**2, 30 * y / r**2, eta_of(position) / 2]
    return np.stack(columns, axis=1).astype("f4")


def main() -> None:
    """Turn each raw file into an HDF5 file."""
    args = arguments()
    with begin("preprocess", args) as ex:
        for path in own(ex, events(args.raw)):
            raw = np.load(ex.input(path))
            features = features_of(raw["position"], args.features)
            values = [raw["position"], raw["layer"], features, raw["particle"], raw["particles"]]
            arrays = dict(zip((*SEEN, *TRUE), values, strict=True))
            write(ex, args.out / f"{path.stem}.h5", arrays)


if __name__ == "__main__":
    main()
