"""The drawer `lines`: distances and insides agree with a search, the SVG with the image, and films move the curves."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Tiny, Vqclip, paint
from PIL import Image, ImageColor, ImageDraw

from vqclip.base.errors import ConfigError
from vqclip.config.timeline import Move
from vqclip.guidance import motion
from vqclip.guidance.drawers import curves
from vqclip.guidance.drawers.lines import COLOUR, POINTS, WIDTH, LinesDrawer, middles
from vqclip.guidance.drawers.lines_config import LinesConfig
from vqclip.media.image import to_pil
from vqclip.runs.run import Run

CPU = torch.device("cpu")
FINE = 4  # a pixel's side is divided by this for the independent drawing


def drawn(width: int = 48, height: int = 32, strokes: int = 12, fills: int = 5) -> LinesDrawer:
    return LinesDrawer(width, height, CPU, strokes, fills)


def random(drawer: LinesDrawer, seed: int = 3) -> torch.Tensor:
    return drawer.random_latent(drawer.latent_shape(), torch.Generator().manual_seed(seed))


def bezier(points: np.ndarray, count: int = 200) -> np.ndarray:
    """De Casteljau's construction."""
    t = np.linspace(0, 1, count)[:, None, None]
    level = np.broadcast_to(points, (count, 4, 2))
    while level.shape[1] > 1:
        level = level[:, :-1] * (1 - t) + level[:, 1:] * t
    return level[:, 0]


def rasterised(svg: str) -> Image.Image:
    """Draw the paths of an SVG file with Pillow, in large, and make it small."""
    size = tuple(int(side) * FINE for side in re.findall(r'(?:width|height)="(\d+)"', svg)[:2])
    ground = re.search(r'<rect [^>]*fill="(#\w+)"', svg)
    opacity = re.search(r'fill-opacity="([\d.]+)" stroke-opacity="([\d.]+)"', svg)
    assert ground
    assert opacity
    image = Image.new("RGB", (size[0], size[1]), ground[1])
    for numbers, rest in re.findall(r'<path d="([^"]*)"([^>]*)/>', svg):
        values = np.array([float(x) for x in re.findall(r"-?[\d.]+", numbers)]).reshape(4, 2) * FINE
        line = [(float(x), float(y)) for x, y in bezier(values)]
        mask = Image.new("L", image.size)
        pen = ImageDraw.Draw(mask)
        shade = round(255 * float(opacity[1]))
        if width := re.search(r'stroke-width="([\d.]+)"', rest):
            radius = float(width[1]) * FINE / 2
            for x, y in line:
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade)
        else:
            _fill_even_odd(mask, line, shade)
        colour = re.search(r'(?:fill|stroke)="(#\w+)"', rest)
        assert colour
        image.paste(ImageColor.getrgb(colour[1]), (0, 0), mask)
    return image.resize((size[0] // FINE, size[1] // FINE), Image.Resampling.BOX)


def _fill_even_odd(mask: Image.Image, line: list[tuple[float, float]], shade: int) -> None:
    """Fill where the ray to the right crosses the closed line an odd number of times."""
    y, x = np.mgrid[: mask.height, : mask.width] + 0.5
    odd = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(line, [*line[1:], line[0]], strict=True):
        if ay != by:
            odd ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    mask.paste(shade, mask=Image.fromarray(odd))


@pytest.mark.parametrize("size", [(48, 32), (40, 56)])
def test_the_svg_shows_the_image(size: tuple[int, int]) -> None:
    drawer = drawn(*size)
    z = random(drawer)
    image = np.asarray(to_pil(drawer.decode_output(z)), float)
    gap = np.abs(image - np.asarray(rasterised(drawer.svg(z)), float)) / 255
    assert gap.mean() < 0.01
    other = np.abs(image - np.asarray(rasterised(drawer.svg(random(drawer, 4))), float)) / 255
    assert other.mean() > 0.1


def test_distances_are_those_that_a_search_finds() -> None:
    points = torch.rand(20, 4, 2, generator=torch.Generator().manual_seed(1)) * 30
    pixels = middles(30, 30, CPU)
    weights = curves.bernstein(curves.nearest(points, pixels))
    found = curves.distance(points, weights, pixels)
    dense = torch.from_numpy(np.stack([bezier(curve.numpy(), 2000) for curve in points])).float()
    expected = torch.cdist(pixels.T.expand(20, -1, -1), dense).amin(-1)
    assert bool((found >= expected - 0.02).all())
    assert float((found - expected > 0.05).float().mean()) < 0.01  # a curve that nearly meets itself


def test_the_gradient_is_that_of_finite_differences() -> None:
    """In random directions: all points, widths and colours change together."""
    drawer = drawn(24, 24, strokes=1, fills=1)
    z = random(drawer, 5)
    z[:, WIDTH] = 0.9
    weights = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))

    def value(at: torch.Tensor) -> torch.Tensor:
        return (drawer.decode(at) * weights).sum()

    (gradient,) = torch.autograd.grad(value(z.requires_grad_()), z)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        steps = [1e-3 * torch.randn(z.shape, generator=generator) for _ in range(40)]
        pairs = [[float(value(z + x) - value(z - x)), 2 * float((gradient * x).sum())] for x in steps]
    assert float(torch.tensor(pairs).T.corrcoef()[0, 1]) > 0.98


def test_recomputing_changes_no_number() -> None:
    drawer = drawn()
    gradients = []
    for recompute in (False, True):
        z = random(drawer).requires_grad_()
        drawer.decode(z, recompute=recompute).square().sum().backward()
        gradients.append(z.grad)
    assert torch.equal(*gradients)  # type: ignore[arg-type]


def test_each_curve_is_drawn_whole_though_only_where_it_is() -> None:
    drawer = drawn(20, 20, strokes=6, fills=3)
    z = random(drawer)
    columns, pixels = z[0, :, 0].T, middles(20, 20, CPU)
    from vqclip.guidance.drawers.lines import paint_over  # noqa: PLC0415

    image = columns[0, COLOUR, None].expand(3, 400)
    image = paint_over(image, columns[1:4], pixels, 20, 1.0, True)
    image = paint_over(image, columns[4:], pixels, 20, 1.0, False)
    torch.testing.assert_close(drawer.decode_output(z), image.view(1, 3, 20, 20))


@pytest.mark.parametrize(
    "move", [Move(zoom=1.3), Move(turn=20), Move(right=5, down=-3), Move(zoom=0.8, turn=-10)]
)
def test_curves_move_as_the_image_does(move: Move) -> None:
    drawer = drawn(48, 32, strokes=4, fills=2)
    z = random(drawer)
    z[:, POINTS] = (
        z[:, POINTS].unflatten(1, (4, 2)) * 0.4 + torch.tensor([0.3, 0.2])[:, None, None]
    ).flatten(1, 2)
    z[:, WIDTH] = 0.6
    grid = motion.moving(move, (32, 48), (32, 48))
    moved = drawer.decode_output(drawer.move(z, grid))
    expected = motion.sample(drawer.decode_output(z), grid, "reflect", "bilinear")
    still = F.l1_loss(drawer.decode_output(z), expected)
    assert float(F.l1_loss(moved, expected)) < min(0.03, 0.5 * float(still))


def test_the_file_lies_beside_the_image_and_in_the_run_folder(
    tiny: Tiny, tmp_path: Path, vqclip: Vqclip
) -> None:
    config = tiny(drawer={"name": "lines", "strokes": 5, "fills": 2}, steps=2)
    run = Run.create(tmp_path, config, {})
    paint(config, run)
    assert (run.folder / "image.svg").read_text().startswith("<svg ")
    done = vqclip("generate", "a", "-c", run.folder / "config.yaml", "-o", tmp_path / "a.png", "--json")
    assert done.code == 0, done.err
    assert f'"svg": "{tmp_path / "a.svg"}"' in done.out
    assert (tmp_path / "a.svg").read_text().count("<path ") == 7


@pytest.mark.parametrize("changes", [{"filters": ["wrap"]}, {"palette": "pico8"}, {"extend": "left=8"}])
def test_there_is_no_file_that_does_not_show_the_image(
    changes: dict[str, Any], tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    init: dict[str, Any] = {}
    if "extend" in changes:
        Image.new("RGB", (24, 32), "red").save(tmp_path / "init.png")
        init = {"init": str(tmp_path / "init.png"), "size": "init"}
    run = Run.create(tmp_path, tiny(drawer={"name": "lines", "strokes": 5}, steps=1, **init, **changes), {})
    paint(run.config, run)
    assert run.image.is_file()
    assert not run.drawing.exists()
    assert [record.message for record in caplog.records if "SVG" in record.message] == [
        "no SVG is saved: it would lack what the mask, the filters or the palette change"
    ]


def test_what_can_not_be_drawn_is_refused_in_one_line(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"neither strokes nor fills; write some, as in drawer.strokes=200"):
        LinesConfig(name="lines", strokes=0, fills=0)
    with pytest.raises(ConfigError, match=r"tile: curves end at the border.*--drawer pyramid"):
        paint(tiny(drawer="lines", tile=True))


def test_comes_nearer_to_the_prompt(tiny: Tiny) -> None:
    seen: list[float] = []
    config = tiny(
        drawer={"name": "lines", "strokes": 20, "fills": 5}, steps=30, optimizer={"learning_rate": 0.03}
    )
    paint(config, None, lambda step: seen.append(float(step.loss)))
    assert sum(seen[-5:]) < sum(seen[:5])
