"""The presets cutouts/…, each against the peers' method of that name: what a thousand draws are like.

The expected distributions are drawn anew from what the peers' code says. What ours differ in stands in docs/recipes.md.
"""

import math
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vqclip.config import resolve as configs
from vqclip.config.schema import CutoutsConfig
from vqclip.guidance.cutout_draws import draw_blanks, draw_boxes, draw_colours, draw_maps
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.ops import fractal_noise

DRAWS = 1000
HEIGHT, WIDTH = 300, 480
RGB_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Method:
    """What a peer's code says: chances, largest angles (degrees), shares and factors. 0: it isn't done."""

    warp: float = 0
    angle: float = 0
    shift: float = 0
    perspective: float = 0
    jitter: float = 0
    brightness: float = 0
    saturation: float = 0
    hue: float = 0
    noise: float = 0
    erase: float = 0
    flip: float = 0
    pools: bool = False  # always sees the whole picture
    power: float = 1


METHODS = {
    "original": Method(),
    "updated": Method(0.8, 30, 0.1, 0.2, 0.7, 0, 0.01, 0.01, 0.1, flip=0.5),
    "nrupdated": Method(0.7, 30, 0.1, 0.5, 0.7, 0.1, 0.1, 0.1, 0.1, erase=0.7),
    "updatedpooling": Method(0.7, 15, 0.1, 0.7, 0.7, 0, 0.1, 0.1, 0.1, erase=0.7, pools=True),
    "latest": Method(0.7, 15, 0.1, 0.7, 0.7, 0.1, 0.1, 0.1, 0.1, erase=0.7, pools=True),
    "pixray": Method(0.7, 0, 0, 0.4, 0.8, 0, 0.1, 0.1, 0.1),
    "pytti": Method(power=2),
}
every = pytest.mark.parametrize("name", METHODS)


def cutouts(name: str) -> CutoutsConfig:
    return configs.resolve({"seed": 0}, preset=f"cutouts/{name}").cutouts


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    """As a uniform distribution's: no quantile is further off than a twentieth of the range (Kolmogorov's distance)."""
    if low == high:
        torch.testing.assert_close(values, torch.full_like(values, low), rtol=0, atol=1e-5)
        return
    shares = (values.sort().values - low) / (high - low)
    assert float((shares - torch.linspace(0, 1, len(shares))).abs().max()) < 0.05


def assert_done(done: Tensor, chance: float) -> None:
    """As often as a chance says, by four standard deviations."""
    assert float(done.float().mean()) == pytest.approx(
        chance, abs=4 * math.sqrt(chance * (1 - chance) / DRAWS) + 1e-9
    )


@every
def test_boxes(name: str) -> None:
    """Sides as rand^power between the smallest and the largest, places anywhere; or the whole picture."""
    c, method = cutouts(name), METHODS[name]
    boxes = draw_boxes(DRAWS, HEIGHT, WIDTH, replace(c, anchors=0), seeded())
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    if method.pools:
        assert (boxes - torch.tensor([0.0, 0, WIDTH, HEIGHT])).abs().max() < 1e-3
        return
    torch.testing.assert_close(width, height)
    share = (width / HEIGHT - c.smallest) / (c.largest - c.smallest)
    assert_uniform(share.clamp(min=0) ** (1 / method.power), 0, 1)
    for low, side, extent in ((boxes[:, 0], width, WIDTH), (boxes[:, 1], height, HEIGHT)):
        room = extent - side + 2 * c.beyond * side
        assert_uniform(((low + c.beyond * side) / room)[room > 1], 0, 1)


@every
def test_angles_and_shifts(name: str) -> None:
    method, plain = METHODS[name], {"perspective": 0.0, "shear": 0.0, "flip": 0.0}
    maps = draw_maps(DRAWS, replace(cutouts(name), **plain), seeded())
    angles = torch.atan2(maps[:, 1, 0], maps[:, 0, 0]).rad2deg()
    if not method.angle:
        assert float(angles.abs().max()) < 1e-4
        return
    warped = angles.abs() > 1e-4
    assert_done(warped, method.warp)
    assert_uniform(angles[warped], -method.angle, method.angle)
    for axis in range(2):
        assert_uniform(maps[warped, axis, 2] / 2, -method.shift, method.shift)  # a side is 2 long


@every
def test_perspective_and_mirrors(name: str) -> None:
    """Each corner moves inwards by up to a share of half the side, along each axis by itself."""
    method = METHODS[name]
    still = replace(cutouts(name), rotate=0, shear=0, shift=0, flip=0)
    maps = draw_maps(DRAWS, still, seeded())
    corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
    moved = torch.einsum("nij,kj->nki", maps, corners)
    inwards = 1 - (moved[..., :2] / moved[..., 2:]).abs()
    warped = inwards.amax((1, 2)) > 1e-5
    assert_done(warped, method.warp if method.perspective else 0)
    for value in inwards[warped].flatten(1).unbind(1):
        assert_uniform(value, 0, method.perspective)
    mirrored = draw_maps(DRAWS, replace(still, perspective=0, flip=cutouts(name).flip), seeded())[:, 0, 0] < 0
    assert_done(mirrored, method.flip)


@every
def test_colours(name: str) -> None:
    """Hue and brightness to either side by as much as the peer's, as often as there."""
    c, method = cutouts(name), METHODS[name]
    matrix, _ = draw_colours(DRAWS, replace(c, contrast=0), seeded())
    changed = (matrix - torch.eye(3)).abs().amax((1, 2)) > 1e-4
    assert_done(changed, method.jitter)
    if not method.jitter:
        return
    chroma = RGB_TO_YIQ @ matrix[changed] @ RGB_TO_YIQ.inverse()
    gain = (matrix[changed] @ torch.ones(3)) @ RGB_TO_YIQ[0]  # of grey, which hue and saturation leave alone
    turn = torch.atan2(chroma[:, 2, 1], chroma[:, 2, 2]) / (2 * math.pi)
    strength = chroma[:, 1:, 1:].det().sqrt() / gain
    assert_uniform(turn, -method.hue, method.hue)
    assert_uniform(gain, 1 - method.brightness, 1 + method.brightness)
    assert_uniform(strength, 1 - method.saturation, 1 + method.saturation)


@every
def test_noise_and_blanks(name: str) -> None:
    c, method = cutouts(name), METHODS[name]
    draw = Cutouts(c).draw(64, 64, 16, 0, DRAWS)
    assert_uniform(draw.strength.flatten(), 0, method.noise)
    blanks = draw_blanks(DRAWS, c.erase, seeded())
    assert_done(blanks[:, 4], method.erase)
    height, width = blanks[:, 2] - blanks[:, 0], blanks[:, 3] - blanks[:, 1]
    whole = (height < 0.999) & (width < 0.999)  # long ones end at the crop's border
    area, ratio = (height * width)[whole], (height / width)[whole]
    assert 0.1 <= float(area.min()) + 1e-4 < float(area.max()) <= 0.4 + 1e-4
    assert 0.3 <= float(ratio.min()) + 1e-4 < float(ratio.max()) <= 3.3 + 1e-4


@pytest.mark.parametrize("name", ["latest", "updatedpooling"])
@pytest.mark.parametrize("size", [16, 32])
def test_pooling(name: str, size: int) -> None:
    """The whole picture as a square, each pixel the mean of its part; peers add half of what the maximum exceeds."""
    image = fractal_noise(96, 128, seeded())
    still = replace(cutouts(name), warp=0, jitter=0, noise=0, erase=0, flip=0)
    (crop,) = Cutouts(still).of(image, size, 0, 1).pixels.split(1)
    mean, most = F.adaptive_avg_pool2d(image, size), F.adaptive_max_pool2d(image, size)
    assert float((crop - mean).abs().mean()) < 0.01
    assert float((crop - (mean + most) / 2).abs().mean()) < 0.5 * float((most - mean).mean()) + 0.01
