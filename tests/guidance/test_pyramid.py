"""The drawer `pyramid` draws what was encoded at any size, enlarges as torch does, and tiles without a seam."""

import pytest
import torch
import torch.nn.functional as F
from conftest import Tiny, paint

from vqclip.config import resolve as configs
from vqclip.guidance import ops
from vqclip.guidance.drawers.pyramid import SIDES, PyramidDrawer, enlarger
from vqclip.requirements.needs import requirements

CPU = torch.device("cpu")
SIZES = [(16, 16), (17, 15), (6, 32), (31, 8), (1, 9)]  # width, height


def drawn(width: int, height: int, tile: bool = False, falloff: float = 0.0) -> PyramidDrawer:
    return PyramidDrawer(width, height, CPU, tile, falloff)


def noise(width: int, height: int) -> torch.Tensor:
    return 0.8 * ops.fractal_noise(height, width, torch.Generator().manual_seed(1)) + 0.1


@pytest.mark.parametrize("falloff", [0, 0.7])
@pytest.mark.parametrize("tile", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_draws_the_image_that_was_encoded(size: tuple[int, int], tile: bool, falloff: float) -> None:
    drawer, image = drawn(*size, tile, falloff), noise(*size)
    z = drawer.encode(image, drawer.latent_shape())
    assert z.shape[2:] == drawer.latent_shape()
    torch.testing.assert_close(drawer.decode(z), image, atol=1e-4, rtol=0)


def test_a_square_of_160_pixels_has_the_sides_of_the_trial() -> None:
    drawer = drawn(160, 160)
    assert drawer._levels(160) == [(side, side) for side in SIDES]
    assert drawer._levels(80)[-1] == drawer.drawn_size(drawer.latent_shape(0.5)) == (80, 80)


@pytest.mark.parametrize(("to", "side"), [(9, 4), (32, 10), (7, 7), (5, 1)])
def test_enlarges_as_torch_does(to: int, side: int) -> None:
    x = torch.rand(1, 1, side, side)
    matrix = enlarger(to, side, CPU, wraps=False)
    expected = F.interpolate(x, (to, to), mode="bicubic", align_corners=False)
    torch.testing.assert_close(matrix @ x @ matrix.T, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(24, 24), (30, 18)])
def test_a_tile_that_is_rolled_is_the_same_tile(size: tuple[int, int]) -> None:
    """Rolled by one cell of a resolution, its enlargement is rolled by as many pixels: no place is a border."""
    for to in size:
        x, matrix = torch.rand(3), enlarger(to, 3, CPU, wraps=True)
        torch.testing.assert_close(matrix @ x.roll(1), (matrix @ x).roll(to // 3))


def test_every_number_of_each_resolution_gets_a_gradient_and_no_other() -> None:
    drawer = drawn(12, 8)
    shape = drawer.latent_shape()
    z = drawer.random_latent(shape, torch.Generator().manual_seed(0)).requires_grad_()
    (drawer.decode(z) * torch.rand(1, 3, 8, 12)).sum().backward()
    assert z.grad is not None
    used = sum(height * width for height, width in drawer._levels(shape[0]))
    assert bool((z.grad.flatten(2)[..., :used] != 0).all())
    assert not z.grad.flatten(2)[..., used:].any()


def test_a_falloff_slows_down_fine_resolutions_and_no_coarse_ones() -> None:
    """By the power of the side, from 16 of 160 on; the same for images of other sizes."""
    plain, slow = drawn(80, 40), drawn(80, 40, falloff=0.5)
    ones = [torch.ones(1, 3, *size) for size in plain._levels(80)]
    shares = [float(level.mean()) for level in slow._weighted(ones)]
    assert shares == pytest.approx([min(1, (16 / side) ** 0.5) for side in SIDES])
    assert [float(level.mean()) for level in plain._weighted(ones)] == [1.0] * len(SIDES)


def test_a_config_from_before_the_falloff_has_none() -> None:
    values = configs.to_dict(configs.resolve({"seed": 1, "drawer": "pyramid", "prompts": ["a"]}))
    assert values["drawer"].pop("falloff") > 0
    assert configs.from_dict(values).drawer.falloff == 0  # type: ignore[attr-defined]


def test_another_resolution_shows_the_same_image() -> None:
    drawer, large = drawn(32, 20), drawn(64, 40)
    z = drawer.encode(ops.gradient_image(20, 32, torch.Generator().manual_seed(2)), drawer.latent_shape())
    fine = large.decode(large.resize(z, *large.latent_shape()))
    torch.testing.assert_close(F.avg_pool2d(fine, 2), drawer.decode(z), atol=0.05, rtol=0)


def test_moments_that_move_by_nothing_stay() -> None:
    drawer = drawn(12, 8)
    z = drawer.random_latent(drawer.latent_shape(), torch.Generator().manual_seed(0))

    def still(shape: tuple[int, int]) -> torch.Tensor:
        return F.affine_grid(torch.eye(2, 3)[None], [1, 1, *shape], align_corners=False)

    torch.testing.assert_close(drawer.moved(z, still, "reflect"), z)


def test_its_recipe_lies_under_what_is_given() -> None:
    config = configs.resolve({"seed": 1, "steps": 7}, settings=["drawer=pyramid", "cutouts.noise=0.2"])
    assert (config.steps, config.start.name, config.cutouts.count, config.cutouts.noise) == (
        7,
        "grey",
        14,
        0.2,
    )
    assert (configs.resolve({"seed": 1}).start.name, configs.resolve({"seed": 1}).cutouts.count) == (
        "sketch",
        12,
    )


def test_comes_nearer_to_the_prompt_and_needs_no_vqgan(tiny: Tiny) -> None:
    config = tiny(drawer="pyramid", steps=30, start="grey")
    assert "vqgan" not in {need.kind for need in requirements(config)}
    seen: list[float] = []
    paint(config, None, lambda step: seen.append(float(step.loss)))
    assert sum(seen[-5:]) < sum(seen[:5])
