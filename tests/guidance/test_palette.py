"""A palette draws pixels to its colours."""

import numpy as np
import pytest
import torch
from conftest import Tiny, paint

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs
from vqclip.guidance.interfaces import Scene
from vqclip.guidance.latent import Latent
from vqclip.guidance.losses.palette import Palette

LATENT = Latent.begin(torch.zeros(1, 1, 1, 1))


def measure(image: torch.Tensor, *colours: str) -> float:
    return float(Palette(colours=list(colours)).value(image, LATENT, Scene()))


def test_is_zero_where_every_pixel_has_a_colour_and_the_square_elsewhere() -> None:
    image = torch.tensor([[1.0, 0], [0, 0], [0, 1]]).view(1, 3, 1, 2)  # red, blue
    assert measure(image, "red", "#00f", "white") == 0
    assert measure(image, "blue") == pytest.approx(1 / 3)


def test_paints_nearer_to_its_colours(tiny: Tiny) -> None:
    palette = ["losses.palette.colours=[red,#00f]", "losses.palette.weight=50"]
    without, with_it = (tiny(*settings, drawer="fft", steps=40) for settings in ([], palette))
    images = [torch.from_numpy(np.asarray(paint(config).image) / 255.0) for config in (without, with_it)]
    one, other = (measure(image.float().permute(2, 0, 1)[None], "red", "blue") for image in images)
    assert other < 0.7 * one


@pytest.mark.parametrize("colours", [["rouge"], [], ["#12"]])
def test_what_is_no_colour_is_refused(colours: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^losses\.palette\.colours: .*as in \[red, \"#00f\"\]$"):
        configs.resolve({"losses": {"palette": {"colours": colours}}})
