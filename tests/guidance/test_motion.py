"""Motion goes where it is told to, by as many pixels, turns and zooms, and lets in what the border says."""

import math

import pytest
import torch
from torch import Tensor

from vqclip.config.timeline import Move
from vqclip.guidance.motion import drifting, flow_between, moving, sample, through, uncovered

SIZE = (48, 64)


def spots(*places: tuple[float, float]) -> Tensor:
    """A picture with soft spots at places (x, y), in pixels from the middle."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]) - 23.5, torch.arange(SIZE[1]) - 31.5, indexing="ij")
    total = sum(torch.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in places)
    return torch.as_tensor(total).expand(1, 3, *SIZE)


def centre(image: Tensor) -> tuple[float, float]:
    """Where a picture's brightness lies, in pixels from the middle."""
    weight = image[0, 0] / image[0, 0].sum()
    y, x = torch.meshgrid(torch.arange(SIZE[0]) - 23.5, torch.arange(SIZE[1]) - 31.5, indexing="ij")
    return float((weight * x).sum()), float((weight * y).sum())


def moved(image: Tensor, move: Move, border: str = "black") -> Tensor:
    return sample(image, moving(move, SIZE, SIZE), border)


@pytest.mark.parametrize(
    ("move", "place"),
    [
        (Move(), (8, 4)),
        (Move(right=5), (13, 4)),
        (Move(down=-3.5), (8, 0.5)),
        (Move(zoom=1.5), (12, 6)),
        (Move(zoom=0.5), (4, 2)),
        (Move(turn=90), (-4, 8)),
        (Move(turn=30), (8 * math.cos(math.pi / 6) - 2, 4 + 4 * math.cos(math.pi / 6))),
        (Move(zoom=2, turn=180, right=10, down=6), (-6, -2)),
    ],
)
def test_content_goes_where_it_is_told(move: Move, place: tuple[float, float]) -> None:
    """Right is right, down is down, degrees go clockwise; about the middle first, then to the side."""
    assert centre(moved(spots((8, 4)), move)) == pytest.approx(place, abs=0.05)


def test_standing_still_changes_nothing() -> None:
    image = torch.rand(1, 3, *SIZE)
    for border in ("reflect", "wrap", "black"):
        assert torch.allclose(moved(image, Move(), border), image, atol=1e-5)


def test_wrap_brings_back_what_leaves() -> None:
    image = torch.rand(1, 3, *SIZE)
    there = moved(image, Move(right=20, down=-7), "wrap")
    assert torch.allclose(there, image.roll((-7, 20), (2, 3)), atol=1e-4)


def test_only_black_lets_black_in() -> None:
    white, away = torch.ones(1, 3, *SIZE), Move(zoom=0.5)
    assert moved(white, away, "black")[..., 0, 0].max() == 0
    for border in ("reflect", "wrap"):
        assert moved(white, away, border).min() > 0.99


def test_what_comes_in_is_known() -> None:
    mask = uncovered(moving(Move(right=16), SIZE, SIZE))
    assert mask[0, 0, :, :16].min() == 1
    assert mask[0, 0, :, 16:].max() == 0


def test_latents_move_like_their_picture() -> None:
    """A coarser grid of the same motion, in the picture's pixels."""
    coarse = moving(Move(right=16), SIZE, (3, 4))
    z = torch.arange(12.0).view(1, 1, 3, 4)
    assert torch.allclose(sample(z, coarse, "wrap", "bilinear"), z.roll(1, 3), atol=1e-4)


def test_flow_is_found_and_followed() -> None:
    """What moves the earlier picture along the flow between two is the later picture."""
    before, after = spots((-8, 0), (6, 5), (12, -9)), spots((-5, 2), (9, 7), (15, -7))
    followed = sample(before, drifting(flow_between(before, after)), "reflect")
    assert (followed - after).abs().mean() < 0.25 * (before - after).abs().mean()


def test_two_motions_are_one() -> None:
    """A flow of three pixels to the right, then a zoom: as one after the other."""
    flow = torch.zeros(1, 2, *SIZE)
    flow[:, 0] = -3
    at_once = through(moving(Move(zoom=1.5), SIZE, SIZE), drifting(flow))
    assert centre(sample(spots((4, 4)), at_once, "black")) == pytest.approx((10.5, 6), abs=0.1)
