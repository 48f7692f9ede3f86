"""Crops: what they show, where they lie, and what decides them."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Tiny
from torch import Tensor

from vqclip.config.schema import BORDERS, CutoutsConfig
from vqclip.guidance.crop_sampling import GridSample, pad_in_order, pad_to_even, place_crops, spread, warp
from vqclip.guidance.cutout_draws import draw_blanks, draw_colours, draw_maps
from vqclip.guidance.cutouts import Crops, Cutouts, kept, normal_numbers
from vqclip.guidance.records import tensors

IDENTITY = torch.eye(3)[None]
MIRROR = torch.diag(torch.tensor([-1.0, 1, 1]))[None]


@pytest.fixture
def plain(tiny: Tiny) -> CutoutsConfig:
    """The whole picture, as it is."""
    off = dict.fromkeys(("flip", "warp", "jitter", "noise", "erase", "beyond"), 0)
    return tiny(cutouts={**off, "count": 3, "anchors": 3, "smallest": 1, "largest": 1}).cutouts


def crops(image: Tensor, size: int, config: CutoutsConfig, seed: int = 0, **changes: Any) -> Crops:
    return Cutouts(dataclasses.replace(config, **changes)).of(image, size, seed)


def take(
    image: Tensor, box: list[float], size: int, border: str = "smear", maps: Tensor = IDENTITY
) -> Tensor:
    placement = place_crops(torch.tensor([box], dtype=torch.float32), *image.shape[2:], size)
    return warp(image, maps, placement, size, border)


class TestWarp:
    @pytest.mark.parametrize("side", [1, 2, 16, 17, 33])
    def test_a_crop_of_the_whole_at_its_own_size_is_the_picture(
        self, plain: CutoutsConfig, side: int
    ) -> None:
        image = torch.rand(1, 3, side, side)
        torch.testing.assert_close(crops(image, side, plain).pixels, image.expand(3, -1, -1, -1))

    @pytest.mark.parametrize("box", [[4, 8, 20, 24], [0, 0, 16, 16], [16, 8, 48, 40], [0, 0, 32, 32]])
    @pytest.mark.parametrize("shrink", [1, 2, 4])
    def test_agrees_with_cutting_and_averaging(self, box: list[int], shrink: int) -> None:
        """Where the box lies on the grid of a minification by a power of two, it is exactly the area's mean."""
        image = torch.rand(1, 3, 40, 48)
        left, top, right, bottom = box
        expected = F.avg_pool2d(image[..., top:bottom, left:right], shrink)
        found = take(image, [float(edge) for edge in box], expected.shape[-1])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize(
        ("shape", "size"), [((40, 40), 16), ((37, 53), 11), ((64, 48), 30), ((9, 9), 24)]
    )
    def test_is_near_to_antialiased_resampling(self, shape: tuple[int, int], size: int) -> None:
        """For any ratio of sizes, odd ones too, a smooth picture keeps its place and its colours."""
        coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(1))
        image = F.interpolate(coarse, shape, mode="bilinear")
        height, width = shape
        side = min(height, width)
        expected = F.interpolate(image[..., :side, :side], (size, size), mode="bilinear", antialias=True)
        found = take(image, [0, 0, side, side], size)
        assert float((found - expected).abs().mean()) < 0.02
        assert float((found - expected).abs().max()) < 0.12

    def test_minifies_without_aliasing(self) -> None:
        """A chequerboard of single pixels is grey from afar; point sampling would see black and white."""
        board = ((torch.arange(128)[:, None] + torch.arange(128)) % 2).float().expand(1, 3, 128, 128)
        for left, side, size in ((0, 128, 32), (3.3, 101, 23), (7, 64, 16), (1.5, 120, 9)):
            found = take(board, [left, left / 2, left + side, left / 2 + side], size)
            assert float((found - 0.5).abs().max()) < 0.05
        stripes = (
            (torch.arange(128) // 2 % 2).float().expand(1, 3, 128, 128)
        )  # finer than three pixels in one can show
        assert float((take(stripes, [0, 0, 96, 96], 32) - 0.5).abs().max()) < 0.1

    @pytest.mark.parametrize("shrink", [1, 2, 3, 4])
    def test_a_gradient_reaches_every_pixel(self, shrink: int) -> None:
        image = torch.rand(1, 3, 24, 24, requires_grad=True)
        take(image, [0, 0, 24, 24], 24 // shrink).sum().backward()
        assert image.grad is not None
        assert bool((image.grad > 0).all())

    def test_a_mirror_mirrors(self) -> None:
        image = torch.rand(1, 3, 16, 16)
        torch.testing.assert_close(take(image, [0, 0, 16, 16], 16, maps=MIRROR), image.flip(-1))

    def test_beyond_the_border(self) -> None:
        """Each kind of border against the padding of that name."""
        image = torch.rand(1, 3, 8, 8)
        box = [-4.0, -4, 12, 12]
        pads = {"reflect": "symmetric", "smear": "edge", "wrap": "wrap"}
        for border in BORDERS:
            found = take(image, box, 16, border)
            if border == "grey":
                expected = F.pad(image, (4, 4, 4, 4), value=0.5)
            else:
                padded = np.pad(image[0].numpy(), ((0, 0), (4, 4), (4, 4)), mode=pads[border])
                expected = torch.from_numpy(padded)[None]
            torch.testing.assert_close(
                found, expected, atol=1e-4, rtol=1e-4, msg=lambda text, b=border: f"{b}: {text}"
            )

    def test_never_leaks_between_the_levels_of_the_atlas(self) -> None:
        """A white picture is white in any crop, however small or large, tilted or beyond the border."""
        generator = torch.Generator().manual_seed(2)
        low = torch.rand(64, 2, generator=generator) * 60 - 20
        boxes = torch.cat([low, low + torch.rand(64, 1, generator=generator) * 60 + 1], 1)
        maps = torch.eye(3) + 0.2 * (torch.rand(64, 3, 3, generator=generator) - 0.5)
        for border in ("reflect", "smear", "wrap"):
            found = warp(torch.ones(1, 3, 33, 47), maps, place_crops(boxes, 33, 47, 7), 7, border)
            torch.testing.assert_close(found, torch.ones_like(found))


class TestBoxes:
    @pytest.mark.parametrize("shape", [(64, 64), (48, 96), (96, 40)])
    def test_lie_within_the_picture_when_nothing_reaches_beyond(
        self, plain: CutoutsConfig, shape: tuple[int, int]
    ) -> None:
        height, width = shape
        image = torch.zeros(1, 3, height, width)
        boxes = crops(image, 8, plain, count=64, anchors=0, smallest=0.2).boxes
        assert bool((boxes[:, :2] >= -1e-3).all())
        assert bool((boxes[:, 2:] <= torch.tensor([width, height]) + 1e-3).all())
        sides = boxes[:, 2:] - boxes[:, :2]
        torch.testing.assert_close(sides[:, 0], sides[:, 1])
        shares = sides[:, 0] / min(height, width)
        assert 0.2 <= shares.min() < 0.25
        assert 0.95 < shares.max() <= 1.0001

    def test_reach_beyond_by_the_asked_share_and_no_further(self, plain: CutoutsConfig) -> None:
        boxes = crops(
            torch.zeros(1, 3, 64, 64), 8, plain, count=256, anchors=0, smallest=0.5, beyond=0.25
        ).boxes
        out = torch.cat([-boxes[:, :2], boxes[:, 2:] - 64], 1).amax(1) / (boxes[:, 2] - boxes[:, 0])
        assert 0.15 < float(out.max()) <= 0.25 + 1e-5

    @pytest.mark.parametrize("shape", [(64, 64), (32, 96)])
    def test_anchors_hold_the_whole_picture_in_the_middle(
        self, plain: CutoutsConfig, shape: tuple[int, int]
    ) -> None:
        height, width = shape
        image = torch.zeros(1, 3, height, width)
        long = max(shape)
        expected = [(width - long) / 2, (height - long) / 2, (width + long) / 2, (height + long) / 2]
        kept = crops(image, 8, plain, count=5, anchors=2, largest=0.5, smallest=0.5).boxes
        assert kept[:2].tolist() == [expected] * 2
        assert bool(((kept[2:, 2] - kept[2:, 0]) <= 0.51 * min(shape)).all())
        squashed = crops(image, 8, plain, count=5, anchors=2, aspect="squash").boxes
        assert squashed[:2].tolist() == [[0, 0, width, height]] * 2

    def test_squash_keeps_the_pictures_shape(self, plain: CutoutsConfig) -> None:
        boxes = crops(
            torch.zeros(1, 3, 32, 96), 8, plain, count=9, anchors=0, smallest=0.3, aspect="squash"
        ).boxes
        sides = boxes[:, 2:] - boxes[:, :2]
        torch.testing.assert_close(sides[:, 0], 3 * sides[:, 1])

    def test_are_stratified(self, plain: CutoutsConfig) -> None:
        """Of n sizes each lies in another n-th of the range, and so do the places."""
        boxes = crops(torch.zeros(1, 3, 64, 64), 8, plain, count=16, anchors=0, smallest=0.2).boxes
        sides = (boxes[:, 2] - boxes[:, 0]) / 64
        strata = ((sides - 0.2) / 0.8 * 16).floor()
        assert sorted(strata.int().tolist()) == list(range(16))

    def test_power_makes_small_crops_commoner(self, plain: CutoutsConfig) -> None:
        def mean_side(power: float) -> float:
            found = crops(
                torch.zeros(1, 3, 64, 64), 8, plain, count=64, anchors=0, smallest=0.1, power=power
            ).boxes
            return float((found[:, 2] - found[:, 0]).mean())

        assert mean_side(3) < mean_side(1) < mean_side(0.3)

    @pytest.mark.parametrize(("count", "anchors"), [(1, 0), (1, 4), (7, 7), (2, 9)])
    def test_any_number_can_be_drawn(self, plain: CutoutsConfig, count: int, anchors: int) -> None:
        found = crops(torch.rand(1, 3, 19, 11), 5, plain, count=count, anchors=anchors)
        assert found.pixels.shape == (count, 3, 5, 5)
        assert found.boxes.shape == (count, 4)


class TestChance:
    def test_all_of_it_is_in_the_seed(self, tiny: Tiny) -> None:
        config = tiny(cutouts={"count": 6, "erase": 0.5}).cutouts
        image = torch.rand(1, 3, 24, 24)
        torch.manual_seed(1)
        first = crops(image, 8, config, seed=5)
        torch.manual_seed(2)
        torch.rand(100)
        again, other = crops(image, 8, config, seed=5), crops(image, 8, config, seed=6)
        assert torch.equal(first.pixels, again.pixels)
        assert torch.equal(first.boxes, again.boxes)
        assert not torch.equal(first.boxes[1:], other.boxes[1:])

    def test_draws_nothing_from_the_global_stream(self, tiny: Tiny) -> None:
        before = torch.get_rng_state()
        crops(torch.rand(1, 3, 8, 8, generator=torch.Generator()), 8, tiny().cutouts)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize(
        "change", [{"noise": 0.0}, {"jitter": 0.0}, {"erase": 0.9}, {"flip": 0.0}, {"warp": 0.0}]
    )
    def test_one_kind_does_not_shift_another(self, tiny: Tiny, change: dict[str, float]) -> None:
        """Turning a distortion on or off leaves the boxes where they were."""
        config = tiny(cutouts={"count": 6, "noise": 0.1}).cutouts
        image = torch.zeros(1, 3, 24, 24)
        boxes = crops(image, 8, config).boxes
        assert torch.equal(crops(image, 8, config, **change).boxes, boxes)

    def test_flip_and_warp_are_chances(self, plain: CutoutsConfig) -> None:
        changes = {"rotate": 10.0, "shear": 5.0, "shift": 0.05, "perspective": 0.2}

        def share(expected: Tensor, **chances: float) -> float:
            config = dataclasses.replace(plain, **changes, **chances)
            maps = draw_maps(400, config, torch.Generator().manual_seed(0))
            return float(torch.isclose(maps, expected, atol=1e-5).all((1, 2)).float().mean())

        assert share(IDENTITY) == 1
        assert share(MIRROR, flip=1.0) == 1
        assert share(IDENTITY, flip=0.3) == pytest.approx(0.7, abs=0.1)
        assert share(IDENTITY, warp=0.3) == pytest.approx(0.7, abs=0.1)
        assert share(IDENTITY, warp=1.0) == 0

    def test_a_rotation_turns_by_no_more_than_asked_and_keeps_lengths(self, plain: CutoutsConfig) -> None:
        config = dataclasses.replace(plain, warp=1.0, rotate=30.0, shear=0.0, shift=0.0, perspective=0.0)
        maps = draw_maps(200, config, torch.Generator().manual_seed(0))
        angles = torch.atan2(maps[:, 1, 0], maps[:, 0, 0]).rad2deg()
        assert 25 < float(angles.abs().max()) <= 30
        torch.testing.assert_close(maps[:, :2, :2].mT @ maps[:, :2, :2], torch.eye(2).expand(200, 2, 2))

    @pytest.mark.parametrize(
        ("knob", "value", "entry", "reach"),
        [
            ("shift", 0.2, (0, 2), 0.4),
            ("shift", 0.2, (1, 2), 0.4),
            ("shear", 20.0, (0, 1), math.tan(math.radians(20))),
        ],
    )
    def test_shifts_and_shears_reach_as_far_as_asked(
        self, plain: CutoutsConfig, knob: str, value: float, entry: tuple[int, int], reach: float
    ) -> None:
        """A share of the crop's side, which is two in its own coordinates; and an angle, to either side."""
        off = dict.fromkeys(("rotate", "shear", "shift", "perspective"), 0.0)
        config = dataclasses.replace(plain, **{"warp": 1.0, **off, knob: value})
        found = draw_maps(400, config, torch.Generator().manual_seed(0))[:, *entry]
        assert 0.97 * reach < float(found.max()) <= reach
        assert -reach <= float(found.min()) < -0.97 * reach

    def test_perspective_moves_the_corners_inwards_by_no_more_than_asked(self, plain: CutoutsConfig) -> None:
        config = dataclasses.replace(plain, warp=1.0, rotate=0.0, shear=0.0, shift=0.0, perspective=0.5)
        maps = draw_maps(200, config, torch.Generator().manual_seed(0))
        corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]])
        mapped = torch.einsum("nij,kj->nki", maps, corners)
        places = mapped[..., :2] / mapped[..., 2:] * corners[:, :2]
        assert 0.5 - 1e-4 <= float(places.min()) < 0.55
        assert 0.95 < float(places.max()) <= 1 + 1e-4


class TestColours:
    def test_grey_keeps_its_hue_and_white_its_balance(self, tiny: Tiny) -> None:
        """Saturation and hue leave grey grey; contrast leaves mid-grey where it is."""
        config = tiny(
            cutouts={"jitter": 1, "brightness": 0, "contrast": 0.5, "saturation": 0.5, "hue": 0.2}
        ).cutouts
        matrix, offset = draw_colours(50, config, torch.Generator().manual_seed(0))
        grey = torch.full((3,), 0.5)
        torch.testing.assert_close(matrix @ grey + offset[:, :, 0, 0], grey.expand(50, 3), atol=2e-3, rtol=0)

    def test_no_chance_is_the_identity(self, plain: CutoutsConfig) -> None:
        matrix, offset = draw_colours(
            5, dataclasses.replace(plain, hue=0.5), torch.Generator().manual_seed(0)
        )
        torch.testing.assert_close(matrix, torch.eye(3).expand(5, 3, 3), atol=1e-5, rtol=0)
        torch.testing.assert_close(offset, torch.zeros(5, 3, 1, 1))

    def test_noise_is_as_strong_as_asked(self, plain: CutoutsConfig) -> None:
        flat = torch.full((1, 3, 16, 16), 0.5)
        deviations = (crops(flat, 16, plain, count=64, noise=0.2).pixels - 0.5).std((1, 2, 3))
        assert 0.15 < float(deviations.max()) < 0.22
        assert float(deviations.min()) < 0.05

    def test_erasing_blanks_one_rectangle_of_a_tenth_to_four_tenths(self) -> None:
        masks = kept(draw_blanks(300, 1.0, torch.Generator().manual_seed(0)), 40)
        blank = 1 - masks[:, 0]
        rows, columns = blank.amax(2), blank.amax(1)
        assert torch.equal(blank, rows[:, :, None] * columns[:, None, :])
        areas = blank.mean((1, 2))
        assert 0.05 < float(areas.min()) < 0.15
        assert 0.35 < float(areas.max()) < 0.45
        assert float(kept(draw_blanks(300, 0.0, torch.Generator().manual_seed(0)), 8).min()) == 1

    @pytest.mark.parametrize(("chance", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
    def test_as_many_crops_are_blanked_as_the_chance_says(
        self, plain: CutoutsConfig, chance: float, share: float
    ) -> None:
        found = crops(torch.ones(1, 3, 16, 16), 16, plain, count=200, erase=chance).pixels
        assert float((found.amin((1, 2, 3)) == 0).float().mean()) == pytest.approx(share, abs=0.1)

    def test_every_distortion_at_once_gives_finite_pixels(self, tiny: Tiny) -> None:
        most = {
            "count": 32, "beyond": 2, "flip": 1, "warp": 1, "rotate": 180, "shear": 60, "shift": 1,
            "perspective": 0.9, "jitter": 1, "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5,
            "noise": 1, "erase": 1, "smallest": 0.01, "largest": 4, "power": 100,
        }  # fmt: skip
        for border in BORDERS:
            image = torch.rand(1, 3, 21, 34, requires_grad=True)
            found = crops(image, 9, tiny(cutouts={**most, "border": border}).cutouts)
            found.pixels.sum().backward()
            assert bool(found.pixels.isfinite().all())
            assert image.grad is not None
            assert bool(image.grad.isfinite().all())
            assert math.isfinite(float(found.boxes.abs().max()))


class TestDevicePath:
    """What a GPU computes otherwise than a CPU, shown on the CPU."""

    @pytest.mark.parametrize("side", [5, 12])
    def test_the_ordered_gradient_of_sampling_is_grid_samples(self, side: int) -> None:
        """In double precision, at places on texels, between them, on the border and beyond it."""
        generator = torch.Generator().manual_seed(0)
        atlas = torch.rand(1, 3, 7, side, generator=generator, dtype=torch.float64, requires_grad=True)
        grid = 2.4 * torch.rand(1, 40, 9, 2, generator=generator, dtype=torch.float64) - 1.2
        grid[0, 0] = torch.tensor([-1.0, 1.0])
        grad = torch.randn(1, 3, 40, 9, generator=generator, dtype=torch.float64)
        (expected,) = torch.autograd.grad(F.grid_sample(atlas, grid, align_corners=False), atlas, grad)
        found = spread(grad, grid, 7, side)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        few = grid[:, ::20]
        assert torch.autograd.gradcheck(
            lambda x: GridSample.apply(x, few), atlas[:, :1].detach().requires_grad_()
        )

    def test_its_sums_are_the_same_in_any_order(self) -> None:
        """To the last bit, also where many samples meet in a few texels; sums of float32 aren't."""
        generator = torch.Generator().manual_seed(0)
        grid = 2 * torch.rand(1, 5000, 4, 2, generator=generator) - 1
        grad = torch.randn(1, 3, 5000, 4, generator=generator) * 10 ** (
            4 * torch.rand(1, 1, 5000, 4, generator=generator)
        )
        order = torch.randperm(5000, generator=generator)
        shuffled = spread(grad[:, :, order], grid[:, order], 3, 3)
        assert torch.equal(spread(grad, grid, 3, 3), shuffled)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_gradient_that_is_not_finite_stays_so(self, bad: float) -> None:
        grad = torch.ones(1, 3, 4, 4)
        grad[0, 0, 0, 0] = bad
        assert not bool(spread(grad, torch.zeros(1, 4, 4, 2), 5, 5).isfinite().all())
        assert float(spread(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, 2), 5, 5).abs().max()) == 0

    @pytest.mark.parametrize("shape", [(4, 6), (5, 6), (4, 7), (1, 3)])
    def test_padding_in_order_is_padding(self, shape: tuple[int, int]) -> None:
        level = torch.rand(2, 3, *shape, requires_grad=True)
        one, other = pad_to_even(level), pad_in_order(level)
        assert torch.equal(one, other)
        weights = torch.rand(one.shape)
        gradients = [torch.autograd.grad(padded, level, weights)[0] for padded in (one, other)]
        torch.testing.assert_close(*gradients)

    def test_shapes_do_not_depend_on_the_seed(self, tiny: Tiny) -> None:
        config = tiny(cutouts={"count": 6, "anchors": 0, "smallest": 0.05, "largest": 1, "power": 3}).cutouts
        drawn = [Cutouts(config).draw(96, 64, 8, seed, fixed=True) for seed in range(20)]
        assert len({str([(x.shape, x.dtype) for x in tensors(draw)]) for draw in drawn}) == 1
        assert len({draw.placement.depth for draw in drawn}) == 1
        assert len({Cutouts(config).draw(96, 64, 8, seed).placement.depth for seed in range(20)}) > 1

    def test_a_deeper_pyramid_changes_no_crop_but_for_rounding(self, tiny: Tiny) -> None:
        config = tiny(cutouts={"count": 6, "smallest": 0.1, "noise": 0, "erase": 0.5}).cutouts
        image, cutouts = torch.rand(1, 3, 96, 64), Cutouts(config)
        for seed in range(5):
            one, other = (
                cutouts.cut(image, cutouts.draw(96, 64, 8, seed, fixed=fixed), 8) for fixed in (False, True)
            )
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)

    def test_a_number_of_the_table_depends_on_its_place_alone(self) -> None:
        """So that a perceptor at larger crops, which needs a longer table, changes no other's noise."""
        longest = normal_numbers(1000, torch.device("cpu"))
        for count in (1, 2, 7, 500, 999):
            assert torch.equal(normal_numbers(count, torch.device("cpu")), longest[:count])

    def test_noise_out_of_the_table_is_normal_and_another_for_each_crop_and_seed(
        self, plain: CutoutsConfig
    ) -> None:
        numbers = normal_numbers(2**20, torch.device("cpu"))
        moments = [float((numbers**k).mean()) for k in (1, 2, 3, 4)]
        assert moments == pytest.approx([0, 1, 0, 3], abs=0.02)
        for lag in (1, 2, 3, 64, 2**19):
            assert abs(float((numbers * numbers.roll(lag)).mean())) < 0.005
        cutouts = Cutouts(dataclasses.replace(plain, noise=0.2))
        grey = torch.full((1, 3, 16, 16), 0.5)
        one, other = (
            cutouts.cut(grey, cutouts.draw(16, 16, 16, seed, fixed=True), 16) - 0.5 for seed in (1, 2)
        )
        crops = torch.cat([one, other]).flatten(1)
        assert float((torch.corrcoef(crops) - torch.eye(6)).abs().max()) < 0.2
