"""List the orders in which a transformer samples the cells of a grid, as taming's permuters define them.

An order is an index tensor: its i-th number is the cell that is sampled as the i-th, counted row by row.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def row(rows: int, columns: int) -> Tensor:
    """Row by row, each from the left."""
    return torch.arange(rows * columns)


def alternate(rows: int, columns: int) -> Tensor:
    """Row by row, every second one from the right."""
    cells = row(rows, columns).view(rows, columns)
    cells[1::2] = cells[1::2].flip(1)
    return cells.flatten()


def z_curve(rows: int, columns: int) -> Tensor:
    """By Morton's codes, which interleave the bits of row and column."""
    cells = row(rows, columns)
    y, x = cells // columns, cells % columns
    code = sum(((x >> bit & 1) << 2 * bit) | ((y >> bit & 1) << 2 * bit + 1) for bit in range(24))
    return torch.as_tensor(code).argsort()


def subsample(rows: int, columns: int) -> Tensor:
    """A coarse grid first, then the grids between: the bits of row and column, the lowest pair first.

    Raises ValueError unless the grid is a square whose side is a power of two.
    """
    _square(rows, columns)
    if rows & (rows - 1):
        raise ValueError(f"a side of {rows} is no power of two")
    cells = row(rows, columns)
    y, x = cells // columns, cells % columns
    bits = rows.bit_length() - 1
    place = sum((2 * (y >> bit & 1) + (x >> bit & 1)) << 2 * (bits - 1 - bit) for bit in range(bits))
    return torch.as_tensor(place).argsort()


def spiral_out(rows: int, columns: int) -> Tensor:
    """From the middle outwards: up, right, down, left, each pair of arms one cell longer.

    Raises ValueError unless the grid is a square of even side.
    """
    _square(rows, columns)
    if rows % 2:
        raise ValueError(f"a side of {rows} has no middle to turn around")
    y, x = rows // 2, rows // 2 - 1
    cells = [y * columns + x]
    arms = [(step, direction) for step in range(1, rows) for direction in _arms(step)]
    arms.append((rows - 1, (1, 0)))  # the last arm, which ends in a corner
    for length, (down, right) in arms:
        for _ in range(length):
            y, x = y + down, x + right
            cells.append(y * columns + x)
    return torch.tensor(cells)


def _arms(step: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The two directions, as steps down and right, of the arms of a length."""
    return ((-1, 0), (0, 1)) if step % 2 else ((1, 0), (0, -1))


def spiral_in(rows: int, columns: int) -> Tensor:
    """The spiral outwards, backwards."""
    return spiral_out(rows, columns).flip(0)


def _square(rows: int, columns: int) -> None:
    if rows != columns:
        raise ValueError(f"a grid of {rows} x {columns} cells is no square")


ORDERS: dict[str, Callable[[int, int], Tensor]] = {
    "row": row,
    "alternate": alternate,
    "z-curve": z_curve,
    "subsample": subsample,
    "spiral-out": spiral_out,
    "spiral-in": spiral_in,
}


def name_of(order: Tensor, rows: int, columns: int) -> str:
    """The name of an order of a grid, or `file` if it has none."""
    for name, make in ORDERS.items():
        try:
            if torch.equal(make(rows, columns), order.cpu().long()):
                return name
        except ValueError:
            continue
    return "file"
