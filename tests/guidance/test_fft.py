"""The drawer `fft` draws what was encoded, repeats without a seam, and paints whatever a VQGAN paints."""

import math
from typing import Any

import pytest
import torch
from conftest import Tiny, paint

from vqclip.base.errors import ConfigError
from vqclip.guidance import ops
from vqclip.guidance.drawers.fft import FFTDrawer
from vqclip.requirements.needs import requirements

CPU = torch.device("cpu")
SIZES = [(16, 16), (17, 15), (6, 32), (31, 8)]  # width, height


def drawn(width: int, height: int) -> FFTDrawer:
    return FFTDrawer(width, height, CPU)


@pytest.mark.parametrize("size", SIZES)
def test_draws_the_image_that_was_encoded(size: tuple[int, int]) -> None:
    drawer = drawn(*size)
    shape = drawer.latent_shape()
    image = 0.8 * ops.fractal_noise(shape[0], 2 * shape[1] - 2, torch.Generator().manual_seed(1)) + 0.1
    decoded = drawer.decode(drawer.encode(image, shape))
    assert decoded.shape == (1, 3, size[1], size[0])
    torch.testing.assert_close(decoded, image[..., : size[1], : size[0]], atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_another_resolution_shows_the_same_image(size: tuple[int, int]) -> None:
    """A wave that both can hold is the same wave, at the places where both have pixels."""
    small, large = drawn(*size), drawn(2 * size[0] + 2 * (size[0] % 2), 2 * size[1])
    rows, columns = small.latent_shape()
    z = torch.zeros(1, 6, rows, columns)
    z[:, :, 1, 1] = torch.randn(1, 6)
    fine = large.decode_full(large.resize(z, *large.latent_shape()))
    torch.testing.assert_close(fine[..., ::2, ::2], small.decode_full(z), atol=1e-5, rtol=0)
    assert torch.equal(small.resize(large.resize(z, *large.latent_shape()), rows, columns), z)


def test_the_image_goes_on_over_its_border() -> None:
    """The step over the seam is no larger than the largest inside."""
    drawer = drawn(32, 32)
    z = torch.zeros(1, 6, *drawer.latent_shape())
    z[..., :3, :3] = torch.randn(1, 6, 3, 3)
    image = drawer.decode(z)
    inside = (image[..., 1:] - image[..., :-1]).abs().amax()
    assert (image[..., 0] - image[..., -1]).abs().amax() <= inside * 1.01
    with pytest.raises(ConfigError, match="its width must be even, as in 18x16"):
        FFTDrawer(17, 16, CPU, tile=True)


def test_every_parameter_of_a_wave_gets_a_gradient() -> None:
    drawer = drawn(8, 8)
    z = drawer.random_latent(drawer.latent_shape(), torch.Generator().manual_seed(0)).requires_grad_()
    (drawer.decode(z) * torch.rand(1, 3, 8, 8)).sum().backward()
    assert z.grad is not None
    assert bool((z.grad[..., 1:4] != 0).all())


def test_comes_nearer_to_the_prompt_and_needs_no_vqgan(tiny: Tiny) -> None:
    config = fft(tiny, steps=30, start="grey")
    assert "vqgan" not in {need.kind for need in requirements(config)}
    seen: list[float] = []

    paint(config, None, lambda step: seen.append(float(step.loss)))
    assert math.fsum(seen[-5:]) < math.fsum(seen[:5])


def fft(tiny: Tiny, **given: Any) -> Any:
    """A tiny Config whose drawer is the fft."""
    return tiny(drawer="fft", **given)
