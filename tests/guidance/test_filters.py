"""Filters change the image that crops and files show; wallpapers have their groups' symmetries to the pixel."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Tiny, paint
from PIL import Image
from torch import Tensor

from vqclip.base.device import strengths
from vqclip.base.errors import ConfigError, ImageError
from vqclip.config import resolve as configs
from vqclip.guidance.filtered_drawer import FilteredDrawer
from vqclip.guidance.filters.clut import Clut
from vqclip.guidance.filters.lookup import Lookup
from vqclip.guidance.filters.rotate import Rotate
from vqclip.guidance.filters.tile import Tile
from vqclip.guidance.filters.wallpaper import GROUPS, HEXAGONAL, Wallpaper, cell_size, points
from vqclip.guidance.filters.wrap import Wrap
from vqclip.guidance.optimize import Step
from vqclip.pipeline.pipeline import Pipeline
from vqclip.runs.run import Run, read_config

CPU = torch.device("cpu")


@dataclasses.dataclass
class Tools:
    base: Path = Path()


TOOLS = Tools()
RECTANGULAR = [group for group in GROUPS if group not in HEXAGONAL]


def made_by(tensor: Tensor) -> list[str]:
    """List the functions that made a tensor, as autograd names them."""
    nodes, names = [tensor.grad_fn], []
    while nodes:
        node = nodes.pop()
        if node is not None:
            names.append(node.name())
            nodes += [before for before, _ in node.next_functions]
    return names


def random_image(height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


class TestWallpaper:
    @pytest.mark.parametrize("group", RECTANGULAR)
    def test_symmetries_hold_to_the_pixel(self, group: str) -> None:
        """For every symmetry and every pixel that it takes into the image; by loops over the definition."""
        image = Wallpaper(group=group).open(TOOLS)(random_image())
        side = cell_size(group, 2, 32, 48)[0]
        assert side == 16
        y, x = torch.meshgrid(torch.arange(32), torch.arange(48), indexing="ij")
        for a, b, c, d, s, t in GROUPS[group]:
            right, down = a * x + b * y + s * side // 2, c * x + d * y + t * side // 2
            # Any translation by whole cells that brings the pixel back into the image is a symmetry too.
            for cells_right, cells_down in ((0, 0), (1, 0), (0, 1), (2, 1), (1, 1), (2, 2)):
                u, v = right + cells_right * side, down + cells_down * side
                inside = (u >= 0) & (u < 48) & (v >= 0) & (v < 32)
                assert torch.equal(image[..., v[inside], u[inside]], image[..., y[inside], x[inside]])

    @pytest.mark.parametrize("group", HEXAGONAL)
    def test_hexagonal_symmetries_hold_to_the_point_of_the_lattice(self, group: str) -> None:
        image = Wallpaper(group=group).open(TOOLS)(random_image())
        u, v, side = points(group, 2, 32, 48)
        colour = torch.full((3, side, side), -1.0)
        for row, column in np.ndindex(32, 48):
            at = colour[:, v[row, column], u[row, column]]
            assert bool((at == -1).all()) or torch.equal(at, image[0, :, row, column])
            colour[:, v[row, column], u[row, column]] = image[0, :, row, column]
        has_pixel = colour[0] >= 0
        assert int(has_pixel.sum()) > 0.8 * side * side
        down, right = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        for a, b, c, d, _, _ in GROUPS[group]:
            to_right, to_down = (a * right + b * down) % side, (c * right + d * down) % side
            both = has_pixel & has_pixel[to_down, to_right]
            assert torch.equal(colour[:, to_down, to_right][:, both], colour[:, both])

    @pytest.mark.parametrize("group", HEXAGONAL)
    def test_hexagonal_lattices_repeat_to_the_pixel(self, group: str) -> None:
        image = Wallpaper(group=group).open(TOOLS)(random_image(64, 64))
        rows, side = cell_size(group, 2, 64, 64)
        assert torch.equal(image[..., side:], image[..., :-side])
        assert torch.equal(image[..., rows:, : -side // 2], image[..., :-rows, side // 2 :])

    @pytest.mark.parametrize("group", GROUPS)
    def test_groups_are_closed(self, group: str) -> None:
        """Two symmetries after each other are a symmetry, up to whole cells: so these are groups."""
        symmetries = {(*entry[:4], entry[4] % 2, entry[5] % 2) for entry in GROUPS[group]}
        assert len(symmetries) == len(GROUPS[group])
        for a, b, c, d, s, t in symmetries:
            for e, f, g, h, p, q in symmetries:
                product = (a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)
                assert (*product, (a * p + b * q + s) % 2, (c * p + d * q + t) % 2) in symmetries

    @pytest.mark.parametrize("group", ["p4m", "p6m"])
    def test_colours_are_those_of_the_image(self, group: str) -> None:
        image = random_image()
        changed = Wallpaper(group=group).open(TOOLS)(image)
        known = {tuple(pixel) for pixel in image[0].flatten(1).T.tolist()}
        found = {tuple(pixel) for pixel in changed[0].flatten(1).T.tolist()}
        assert found <= known
        assert len(found) > 10

    @pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 40), (17, 5)])
    @pytest.mark.parametrize("group", ["pgg", "p6m"])
    def test_every_size_has_one(self, group: str, height: int, width: int) -> None:
        assert Wallpaper(group=group).open(TOOLS)(random_image(height, width)).shape == (1, 3, height, width)


class TestOthers:
    def test_a_lookup_leaves_its_colours_alone_and_passes_gradients(self) -> None:
        image = random_image().requires_grad_()
        changed = Lookup(colours=["red", "#00f", "white"]).open(TOOLS)(image)
        colours = {tuple(pixel) for pixel in changed.detach()[0].flatten(1).T.tolist()}
        assert colours == {(1, 0, 0), (0, 0, 1), (1, 1, 1)}
        changed.square().sum().backward()
        assert torch.equal(image.grad, 2 * changed.detach())  # type: ignore[arg-type]

    def test_a_lookup_takes_the_nearest(self) -> None:
        image = random_image()
        table = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 1]])
        pixels = image[0].flatten(1).T.double().numpy()
        nearest = ((pixels[:, None] - table) ** 2).sum(-1).argmin(-1)
        found = Lookup(colours=["red", "#00f", "white"]).open(TOOLS)(image)[0].flatten(1).T.numpy()
        assert np.array_equal(found, table[nearest])

    def test_a_hald_image_of_equal_colours_changes_nothing(self, tmp_path: Path) -> None:
        save_hald(tmp_path / "same.png", lambda rgb: rgb)
        save_hald(tmp_path / "inverse.png", lambda rgb: 255 - rgb)
        image = random_image()
        for name, expected in (("same.png", image), ("inverse.png", 1 - image)):
            changed = Clut(file=name).open(Tools(tmp_path))(image)
            torch.testing.assert_close(changed, expected, atol=4e-3, rtol=0)

    def test_what_is_no_hald_image_is_refused(self, tmp_path: Path) -> None:
        Image.new("RGB", (60, 60)).save(tmp_path / "a.png")
        with pytest.raises(ImageError, match=r"a\.png is no Hald CLUT: .* it is 60x60"):
            Clut(file="a.png").open(Tools(tmp_path))

    @pytest.mark.parametrize("degrees", [0, 3, -50, 90, 180])
    @pytest.mark.parametrize(("height", "width"), [(1, 5), (7, 12), (32, 20)])
    def test_a_gpu_rotates_as_a_cpu_by_sums_that_repeat(
        self, monkeypatch: pytest.MonkeyPatch, degrees: int, height: int, width: int
    ) -> None:
        """Images and gradients agree; torch's own gradient, whose order varies there, isn't asked."""
        generator = torch.Generator().manual_seed(1)
        images = torch.rand(2, 3, height, width, generator=generator, requires_grad=True)
        grad = torch.rand(2, 3, height, width, generator=generator)
        results = []
        for ordered in (True, False):
            own = dataclasses.replace(strengths(CPU), ordered_gradients=ordered)
            monkeypatch.setattr("vqclip.base.device.strengths", lambda _, own=own: own)
            rotated = Rotate(degrees=degrees).open(TOOLS)(images)
            results.append((rotated, torch.autograd.grad(rotated, images, grad)[0]))
            repeats = "GridSampleBackward" in made_by(rotated)
            assert repeats != ordered
        for found, expected in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    def test_a_tile_repeats(self) -> None:
        image = Tile(times=2).open(TOOLS)(random_image(32, 48))
        assert torch.equal(image[..., :16, :24], image[..., 16:, 24:])

    def test_wrapping_by_half_twice_is_nothing(self) -> None:
        image = random_image()
        wrap = Wrap().open(TOOLS)
        assert torch.equal(wrap(image)[..., 16, 24], image[..., 0, 0])
        assert torch.equal(wrap(wrap(image)), image)

    def test_a_quarter_turn_is_a_rotation_clockwise(self) -> None:
        image = random_image(16, 16)
        turned = Rotate(degrees=90).open(TOOLS)(image)
        torch.testing.assert_close(turned, image.rot90(-1, (2, 3)), atol=1e-4, rtol=0)


def save_hald(path: Path, change: Any, level: int = 4) -> None:
    steps = np.round(np.linspace(0, 255, level**2)).astype(np.uint8)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    pixels = change(np.stack([red, green, blue], -1)).reshape(level**3, level**3, 3)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


class TestPainting:
    def test_crops_and_files_show_the_filtered_image(self, tiny: Tiny, tmp_path: Path) -> None:
        seen: list[Tensor] = []

        def see(step: Step) -> None:
            seen.append(step.image)

        config = tiny(filters=["wallpaper:pmm", {"kind": "lookup", "colours": ["red", "blue"]}])
        run = Run.create(tmp_path, config, {})
        image = torch.from_numpy(np.asarray(paint(config, run, see).image).copy())
        colours = {tuple(pixel) for pixel in image.flatten(0, 1).tolist()}
        assert colours <= {(255, 0, 0), (0, 0, 255)}
        assert torch.equal(image[1:8], image[8:].flip(0)[:7])
        assert all(set(step.unique().tolist()) <= {0, 1} for step in seen)
        assert read_config(run.folder) == config

    def test_the_latent_goes_where_the_filter_leads(self, tiny: Tiny) -> None:
        """Under a filter that inverts colours, the unfiltered image gets the opposite of what is asked for."""
        config = tiny("losses.vignette={weight: 50, size: 0.01}", filters="wrap", drawer="fft", steps=30)
        assert np.asarray(paint(config).image).mean() < 60

    def test_without_filters_the_drawer_is_the_one_that_was_opened(self, tiny: Tiny) -> None:
        pipeline = Pipeline(tiny(), CPU)
        assert not isinstance(pipeline.objective(pipeline.film.frame(0)).drawer, FilteredDrawer)

    def test_a_film_that_zooms_is_filtered(self, tiny: Tiny, tmp_path: Path) -> None:
        config = tiny(filters="wallpaper:pm", film={"frames": 2, "steps": 2}, motion={"zoom": "1.2"})
        image = np.asarray(paint(config, Run.create(tmp_path, config, {})).image)
        assert np.array_equal(image[:, 1:8], image[:, :8:-1][:, :7])


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (
            ["wallpapr"],
            "filters: there is no filter 'wallpapr'; the names are clut, .*; did you mean wallpaper?",
        ),
        (["wallpaper:p5"], r"filters\[0\]\.group: 'p5' is none of p1, p2"),
        ([{"group": "p4"}], "filters: there is no filter ''"),
        ([{"kind": "wrap", "left": 1}], r"there is no key 'filters\[0\]\.left'"),
        (["lookup:rouge"], "filters.colours: 'rouge' is no colour"),
        (["lookup"], r"filters\[0\] lacks colours"),
    ],
)
def test_what_is_wrong_is_refused(filters: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.resolve({"filters": filters})
