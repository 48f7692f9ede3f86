"""The drawer `pixel` shows each colour as one cell with exact edges, at any size."""

import itertools
import math
from collections import Counter

import pytest
import torch
from conftest import Tiny, paint

from vqclip.base.errors import ConfigError
from vqclip.guidance.drawers.pixel import PixelDrawer
from vqclip.guidance.drawers.pixel_config import PixelConfig

CPU = torch.device("cpu")
SHAPES = ["square", "hex", "triangle"]


def drawn(width: int, height: int, grid: tuple[int, int], shape: str, tile: bool = False) -> PixelDrawer:
    return PixelDrawer(width, height, CPU, grid, shape, tile)


def cells(drawer: PixelDrawer) -> torch.Tensor:
    return drawer._cells(drawer.latent_shape()).view(drawer.height, drawer.width)


@pytest.mark.parametrize("tile", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_colour_is_there_and_no_other(shape: str, tile: bool) -> None:
    drawer = drawn(61, 43, (6, 8), shape, tile)
    z = drawer.random_latent(drawer.latent_shape(), torch.Generator().manual_seed(1))
    image = drawer.decode_output(z)
    colours = {tuple(colour) for colour in z.flatten(2)[0].T.tolist()}
    assert {tuple(colour) for colour in image.flatten(2)[0].T.tolist()} == colours
    torch.testing.assert_close(drawer.encode(image, drawer.latent_shape()), z)


def test_squares_are_equal_where_the_size_is_a_multiple() -> None:
    found = cells(drawn(24, 12, (3, 6), "square"))
    assert torch.equal(found, torch.arange(18).view(3, 6).repeat_interleave(4, 0).repeat_interleave(4, 1))


@pytest.mark.parametrize("tile", [False, True])
def test_a_hexagon_is_what_lies_nearest_to_its_middle(tile: bool) -> None:
    rows, columns, width, height = 4, 5, 50, 35
    rings = [(r, c) for r in range(-2, rows + 2) for c in range(-2, columns + 2)]
    if not tile:
        rings = [(r, c) for r in range(rows) for c in range(columns)]
    found = cells(drawn(width, height, (rows, columns), "hex", tile))
    for y in range(height):
        for x in range(width):
            down, right = (y + 0.5) / height * rows - 0.5, (x + 0.5) / width * columns - 0.5
            away = {
                (r, c): math.hypot((down - r) * math.sqrt(3) / 2, right - c - 0.5 * (r % 2) + 0.25)
                for r, c in rings
            }
            nearest = min(away.values())
            those = {r % rows * columns + c % columns for (r, c), d in away.items() if d < nearest + 1e-9}
            assert int(found[y, x]) in those


def test_triangles_have_equal_areas_and_straight_edges() -> None:
    """Within the pixels that an edge crosses. Each narrows by about one pixel on each side a row."""
    found = cells(drawn(80, 20, (2, 8), "triangle", tile=True))
    assert all(abs(count - 100) <= 5 for count in Counter(found.flatten().tolist()).values())
    widths = [int((row == 1).sum()) for row in found[:10]]
    steps = [before - after for before, after in itertools.pairwise(widths)]
    assert set(steps) <= {1, 2, 3} or set(steps) <= {-1, -2, -3}


def test_a_gradient_is_the_sum_over_a_cell() -> None:
    drawer = drawn(13, 9, (3, 4), "hex")
    z = torch.rand(2, 3, 3, 4, requires_grad=True)
    weights = torch.rand(2, 3, 9, 13)
    (drawer.decode(z) * weights).sum().backward()
    assert z.grad is not None
    for cell in range(12):
        inside = cells(drawer) == cell
        torch.testing.assert_close(z.grad.flatten(2)[..., cell], weights[..., inside].sum(-1))


def test_what_is_no_grid_is_refused_in_one_line() -> None:
    for pixels, why in [("many", "is no size"), ("0x3", "is impossible")]:
        with pytest.raises(ConfigError, match=f"drawer.pixels: '{pixels}' {why}.*64x48"):
            PixelConfig(name="pixel", pixels=pixels)
    with pytest.raises(ConfigError, match="300x2 are more than the 256x256 of the image"):
        PixelConfig(name="pixel", pixels="300x2").grid(256, 256)
    with pytest.raises(ConfigError, match="5x5 hex pixels are no tile; their rows must be even, as in 5x6"):
        drawn(20, 20, (5, 5), "hex", tile=True)
    with pytest.raises(ConfigError, match="their columns must be even, as in 6x5"):
        drawn(20, 20, (5, 5), "triangle", tile=True)


def test_a_grid_that_is_not_given_has_square_pixels() -> None:
    assert PixelConfig(name="pixel").grid(256, 128) == (32, 64)
    assert PixelConfig(name="pixel").grid(16, 8) == (8, 16)


def test_comes_nearer_to_the_prompt(tiny: Tiny) -> None:
    seen: list[float] = []
    config = tiny(drawer={"name": "pixel", "pixels": "8x8"}, steps=30, optimizer={"learning_rate": 0.05})
    paint(config, None, lambda step: seen.append(float(step.loss)))
    assert sum(seen[-5:]) < sum(seen[:5])
