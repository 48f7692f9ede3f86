"""The latent stays within its bounds, remembers its mean without bias, and grows without losing its place."""

import dataclasses
from collections.abc import Callable
from typing import cast

import pytest
import torch
from conftest import TINY, Tiny, random_vqgan

from vqclip.config.timeline import Film
from vqclip.guidance import ops
from vqclip.guidance.drawers.vqgan import VQGANDrawer, rolled_unread, turned
from vqclip.guidance.interfaces import StartTools
from vqclip.guidance.latent import Latent, enlarge


def within(bound: float) -> Callable[[torch.Tensor], None]:
    def project(z: torch.Tensor) -> None:
        z.clamp_(-bound, bound)

    return project


def test_a_step_ends_within_the_codebooks_bounds() -> None:
    latent = Latent.begin(torch.tensor([[[[5.0, -5.0]], [[0.5, 0.0]]]]))
    latent.settle(within(1), 0.9)
    assert latent.z.flatten().tolist() == [1, -1, 0.5, 0]
    assert latent.start.flatten().tolist() == [5, -5, 0.5, 0]


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_the_mean_weighs_the_past_without_bias(decay: float) -> None:
    """That of one place is the place, from the first step on; otherwise newer ones weigh more."""
    latent = Latent.begin(torch.zeros(1, 2, 1, 2))
    assert torch.equal(latent.mean, latent.z.detach())
    values = [0.5, -0.25, 1.0]
    for i, value in enumerate(values):
        latent.z.data.fill_(value)
        latent.settle(within(1), decay)
        weights = [decay ** (i - j) for j in range(i + 1)]
        expected = sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)
        torch.testing.assert_close(latent.mean, torch.full((1, 2, 1, 2), expected))


def test_growing_goes_on_from_the_mean_with_its_start() -> None:
    latent = Latent.begin(torch.randn(1, 2, 4, 6))
    latent.settle(within(9), 0.9)
    latent.z.data += 0.1
    latent.settle(within(9), 0.9)
    grown = latent.resized(8, 12, enlarge)
    assert grown.shape == (8, 12)
    assert grown.z.requires_grad
    assert grown.z.is_leaf
    assert torch.equal(grown.z.detach(), enlarge(latent.mean, 8, 12))
    assert torch.equal(grown.start, enlarge(latent.start, 8, 12))
    assert torch.equal(grown.mean, grown.z.detach())


@pytest.mark.parametrize("start", ["codes", "noise", "gradient", "grey"])
def test_every_start_without_a_model_paints_an_image(tiny: Tiny, start: str) -> None:
    config, tools = tiny(start=start, size="12x20"), cast(StartTools, None)  # they use none
    image = config.start.prepare(tools)(Film(config).frame(0), torch.Generator().manual_seed(0))
    assert image.shape == (1, 3, 20, 12)
    assert bool(((image >= 0) & (image <= 1)).all())


class TestCanvas:
    @pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 15), (1, 1), (5, 32)])
    @pytest.mark.parametrize("scale", [1.0, 0.5])
    def test_draws_exactly_the_size_at_full_scale_and_no_more_below(
        self, width: int, height: int, scale: float
    ) -> None:
        drawer = VQGANDrawer(random_vqgan(), width, height)
        image = drawer.decode(
            drawer.random_latent(drawer.latent_shape(scale), torch.Generator().manual_seed(0))
        )
        rows, columns = drawer.latent_shape(scale)
        assert image.shape == (1, 3, min(height, 2 * rows), min(width, 2 * columns))
        assert scale < 1 or image.shape == (1, 3, height, width)
        assert bool(((image >= 0) & (image <= 1)).all())

    def test_cuts_what_sticks_out_from_all_sides(self) -> None:
        vqgan = random_vqgan(dataclasses.replace(TINY, ch_mult=(1, 1, 1, 1)))
        z = vqgan.lookup(torch.randint(16, (1, 2, 2)))
        whole, part = VQGANDrawer(vqgan, 16, 16).decode(z), VQGANDrawer(vqgan, 11, 10).decode(z)
        assert torch.equal(part, whole[..., 3:13, 2:13])

    def test_draws_what_the_nearest_codes_decode_to(self) -> None:
        """A nudge that changes no code changes no pixel, and the gradient goes through all the same."""
        vqgan = random_vqgan()
        drawer = VQGANDrawer(vqgan, 8, 8)
        codes = torch.randint(16, (1, 4, 4))
        z = (vqgan.lookup(codes) + 1e-3).requires_grad_()
        image = drawer.decode(z)
        torch.testing.assert_close(image, ((vqgan.decode(vqgan.lookup(codes)) + 1) / 2).clamp(0, 1))
        image.mean().backward()
        assert z.grad is not None
        assert bool((z.grad != 0).all())

    def test_encodes_to_codes_that_fill_the_cells(self) -> None:
        vqgan = random_vqgan()
        drawer = VQGANDrawer(vqgan, 16, 12)
        z = drawer.encode(torch.rand(1, 3, 40, 90), drawer.latent_shape())
        assert z.shape == (1, 5, 6, 8)
        assert torch.equal(vqgan.lookup(vqgan.quantize.codes(z)), z)

    def test_a_picture_of_the_right_size_is_encoded_as_it_is(self) -> None:
        vqgan = random_vqgan()
        image = torch.rand(1, 3, 16, 16)
        expected = vqgan.lookup(vqgan.codes(vqgan.encode(image * 2 - 1)))
        assert torch.equal(VQGANDrawer(vqgan, 16, 16).encode(image, (8, 8)), expected)

    def test_random_latents_are_codes_of_the_generator(self) -> None:
        vqgan = random_vqgan()
        drawer = VQGANDrawer(vqgan, 16, 16)
        one, two = (drawer.random_latent((3, 4), torch.Generator().manual_seed(seed)) for seed in (1, 1))
        assert torch.equal(one, two)
        assert torch.equal(vqgan.lookup(vqgan.quantize.codes(one)), one)


@pytest.mark.parametrize("shape", [(10, 10), (30, 10), (7, 50), (1, 1)])
def test_covering_fills_the_size_with_the_middle(shape: tuple[int, int]) -> None:
    covered = ops.cover(torch.full((1, 3, *shape), 0.25), 12, 20)
    assert covered.shape == (1, 3, 12, 20)
    torch.testing.assert_close(covered, torch.full_like(covered, 0.25))


def test_covering_cuts_both_sides_evenly() -> None:
    ramp = torch.linspace(0, 1, 41).expand(1, 3, 9, 41)
    covered = ops.cover(ramp, 9, 11)
    torch.testing.assert_close(covered, ramp[..., 15:26])


class TestTurning:
    """A tile's seam goes elsewhere for a step, and comes back."""

    SHIFTS = torch.tensor([[0, 3], [2, 0], [-9, 7]])

    def test_rolls_each_image_by_its_own_shift(self) -> None:
        images = torch.randn(3, 2, 4, 5)
        pairs = zip(images, self.SHIFTS.tolist(), strict=True)
        expected = [image.roll(tuple(shift), (1, 2)) for image, shift in pairs]
        assert torch.equal(turned(images, self.SHIFTS), torch.stack(expected))

    def test_a_device_finds_the_same_without_reading_the_shift(self) -> None:
        images = torch.randn(3, 2, 4, 5)
        for image, shift in zip(torch.split(images, 1), self.SHIFTS, strict=True):
            assert torch.equal(rolled_unread(image, shift), image.roll(shift.tolist(), (2, 3)))

    def test_gradients_come_back_from_where_they_went(self) -> None:
        images = torch.randn(3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda x: turned(x, self.SHIFTS), images)
