"""Drawings lie where a layout says, in any shape of picture, as often and in the colour that is wished for."""

import pytest
import torch
from torch import Tensor

from vqclip.start.layout import Layer, Layout, copies, has, pale_sky, plain, tint
from vqclip.start.phrases import COLOURS

SIDE = 16
GREY = (0.5, 0.5, 0.5)


@pytest.fixture
def red() -> Tensor:
    """A red square."""
    return torch.tensor([1.0, 0, 0, 1]).view(4, 1, 1).expand(4, SIDE, SIDE)


def redness(image: Tensor) -> Tensor:
    """Where a picture (1 3 h w) is red."""
    return (image[0, 0] > 0.8) & (image[0, 1] < 0.2)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 61), (61, 20)])
def test_a_thing_stands_in_the_middle_of_any_shape(red: Tensor, height: int, width: int) -> None:
    made = Layout(plain(GREY), [Layer(red, size=0.5)]).image(height, width)
    assert made.shape == (1, 3, height, width)
    rows, columns = redness(made).nonzero().float().mean(0).tolist()
    assert (rows, columns) == pytest.approx(((height - 1) / 2, (width - 1) / 2), abs=1)
    assert float(redness(made).sum()) == pytest.approx((min(height, width) / 2) ** 2, rel=0.2)
    torch.testing.assert_close(made[0, :, 0, 0], torch.tensor(GREY))


def test_what_sticks_out_is_cut(red: Tensor) -> None:
    made = Layout(plain(GREY), [Layer(red, x=1.0, y=0.0, size=0.5)]).image(32, 32)
    assert bool(redness(made)[:7, -7:].all())
    assert not bool(redness(made)[9:].any())


@pytest.mark.parametrize("count", range(1, 10))
def test_copies_are_as_many_as_wished_and_do_not_touch(red: Tensor, count: int) -> None:
    layers = copies(red, count)
    assert len(layers) == count
    size = layers[0].size
    for k, one in enumerate(layers):
        assert size / 2 <= one.x + 0.08
        assert one.x + size / 2 <= 1.08
        for other in layers[:k]:
            assert max(abs(one.x - other.x), abs(one.y - other.y)) > 0.8 * size


def test_a_layer_within_a_part_of_the_square_keeps_its_place_there(red: Tensor) -> None:
    layer = Layer(red, x=1.0, y=0.5, size=0.5).within(0.25, 0.75, 0.5)
    assert (layer.x, layer.y, layer.size) == (0.5, 0.75, 0.25)


def test_later_layers_lie_over_earlier_ones(red: Tensor) -> None:
    blue = red.flip(0).clone()
    blue[:] = torch.tensor([0, 0, 1.0, 1]).view(4, 1, 1)
    made = Layout(plain(GREY), [Layer(blue), Layer(red, size=0.3)]).image(32, 32)
    assert bool(redness(made)[16, 16])
    torch.testing.assert_close(made[0, :, 16, 6], torch.tensor([0.0, 0, 1]))


def test_a_sky_pales_downwards() -> None:
    light = Layout(pale_sky()).image(32, 32).mean((0, 1, 3))
    assert light[-1] > light[0]


def test_a_drawing_takes_a_colour_and_keeps_its_outline_and_shades() -> None:
    torch.manual_seed(0)
    alpha = (torch.rand(2, 1, SIDE, SIDE) > 0.5).float()
    grey = torch.rand(2, 1, SIDE, SIDE) * alpha
    drawings = torch.cat([grey, grey, grey, alpha], 1)
    red = tint(drawings, COLOURS["red"])
    assert torch.equal(red[:, 3:], alpha)
    assert bool((red[:, :3] <= alpha + 1e-6).all())
    assert red[:, 0].sum() > 2 * red[:, 1].sum()
    inside = alpha[:, 0] > 0
    assert float(torch.corrcoef(torch.stack([red[:, 0][inside], grey[:, 0][inside]]))[0, 1]) > 0.7


def test_a_drawing_has_the_colour_that_it_was_tinted_in() -> None:
    torch.manual_seed(0)
    alpha = (torch.rand(1, 1, SIDE, SIDE) > 0.3).float()
    drawing = torch.cat([torch.full((1, 3, SIDE, SIDE), 0.5) * alpha, alpha], 1)
    for name in ("red", "green", "blue", "white"):
        assert has(tint(drawing, COLOURS[name])[0], COLOURS[name])
        assert not has(drawing[0], COLOURS[name])
