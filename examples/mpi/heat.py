"""
Solve the heat equation on a plate, divided among MPI ranks in two dimensions.

    mpirun -n 4 python examples/mpi/heat.py

Each rank owns a block of the plate and exchanges a border one cell wide with its neighbours in
every step. ``mesh.npy`` holds the start temperatures (made when there is none), ``field.npy`` the
final ones; both lie in ``--out`` and are read and written by all ranks at once, each its block.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mpi4py import MPI

import cmfd

if TYPE_CHECKING:
    import numpy.typing as npt

    Field = npt.NDArray[np.float64]
    Block = tuple[slice, slice]

ALPHA = 0.25  # diffusion number: the explicit scheme is stable up to here
REDUCE_EVERY = 20


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Solve the heat equation with MPI.")
    parser.add_argument("--nx", type=int, default=256, help="cells of the plate in each direction")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("out"), help="directory for all files")
    return parser.parse_args()


def make_mesh(path: Path, nx: int) -> None:
    """Write the start temperatures: a cold plate with a hot disc off its middle."""
    x, y = np.meshgrid(np.linspace(-1, 1, nx), np.linspace(-1, 1, nx), indexing="ij")
    np.save(path, np.where((x - 0.3) ** 2 + y**2 < 0.1, 100.0, 0.0))


def block_of(cart: Any, shape: tuple[int, ...]) -> Block:
    """Return which part of the plate this rank owns."""
    rows, columns = (
        slice(n * coord // dim, n * (coord + 1) // dim)
        for n, coord, dim in zip(shape, cart.coords, cart.dims, strict=True)
    )
    return rows, columns


def exchange_halo(cart: Any, u: Field) -> None:
    """Give each neighbour this rank's outermost cells and take theirs; mirror them at the edge."""
    for axis in (0, 1):
        low, high = cart.Shift(axis, 1)
        view = np.moveaxis(u, axis, 0)
        first, last = view[1].copy(), view[-2].copy()
        below, above = first.copy(), last.copy()  # without a neighbour: no heat leaves the plate
        cart.Sendrecv(last, high, 0, below, low, 0)
        cart.Sendrecv(first, low, 0, above, high, 0)
        view[0], view[-1] = below, above


def step_in_time(u: Field) -> float:
    """Advance the inner cells by one step; return the greatest change."""
    inner = u[1:-1, 1:-1]
    change = ALPHA * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * inner)
    inner += change
    return float(np.abs(change).max())


def solve(ex: cmfd.Execution, cart: Any, u: Field, steps: int) -> None:
    """Step through time; log the plate's residual, and how long each rank computed."""
    for i in range(steps):
        exchange_halo(cart, u)
        began_s = time.perf_counter()
        change = step_in_time(u)
        compute_s = time.perf_counter() - began_s
        ex.metric("compute_s", compute_s, step=i)
        residual = cart.allreduce(change, MPI.MAX)
        if cart.rank == 0:
            ex.metric("residual", residual, step=i)
        if i % REDUCE_EVERY == 0:
            ex.metric_reduced("compute_s", compute_s, step=i)


def write_field(cart: Any, path: Path, u: Field, block: Block, shape: tuple[int, ...]) -> None:
    """Write one .npy file from all ranks: rank 0 its header, each rank its block."""
    header_bytes = 0
    if cart.rank == 0:
        np.lib.format.open_memmap(path, "w+", np.float64, shape)
        header_bytes = path.stat().st_size - 8 * shape[0] * shape[1]
    header_bytes = cart.bcast(header_bytes)
    own = np.ascontiguousarray(u[1:-1, 1:-1])
    starts = [part.start for part in block]
    kind = MPI.DOUBLE.Create_subarray(shape, own.shape, starts).Commit()
    file = MPI.File.Open(cart, str(path), MPI.MODE_WRONLY)
    file.Set_view(header_bytes, MPI.DOUBLE, kind)
    file.Write_all(own)
    file.Close()
    kind.Free()


def main() -> None:
    """Read the mesh, solve, write the field."""
    args = arguments()
    world = MPI.COMM_WORLD
    cart = world.Create_cart(MPI.Compute_dims(world.size, [0, 0]))
    mesh, field = args.out / "mesh.npy", args.out / "field.npy"
    with cmfd.start(pipeline="heat", stage="solve", comm=cart) as ex:
        if cart.rank == 0:
            args.out.mkdir(parents=True, exist_ok=True)
            if not mesh.exists():
                make_mesh(mesh, args.nx)
            ex.input(mesh, kind="dataset")  # one rank says it for all
        cart.barrier()
        start = np.load(mesh, mmap_mode="r")
        ex.params(nx=start.shape[0], steps=args.steps, alpha=ALPHA, ranks=cart.size)

        block = block_of(cart, start.shape)
        u = np.pad(start[block], 1)
        solve(ex, cart, u, args.steps)

        write_field(cart, field, u, block, start.shape)
        if cart.rank == 0:
            ex.output(field, kind="dataset")
            final = np.load(field, mmap_mode="r")
            print(f"mean temperature {start.mean():.4f} -> {final.mean():.4f}, in {field}")


if __name__ == "__main__":
    main()
