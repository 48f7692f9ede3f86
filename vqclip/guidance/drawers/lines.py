"""The LinesDrawer: strokes and filled shapes of cubic Bézier curves, drawn one over the other, also as SVG.

Letters in shapes: a latent (n 12 1 s) has a column for each curve, filled shapes first: its four points (x, y) in
longer sides of the image, its width, and its colour in [0, 1]. The first column's colour is the ground's.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vqclip.guidance import motion
from vqclip.guidance.drawers.curves import fill_coverage, stroke_coverage
from vqclip.guidance.ops import cover

CHANNELS = 12
POINTS, WIDTH, COLOUR = slice(0, 8), 8, slice(9, 12)
WIDTHS = 0.1  # of a stroke whose number is 1, in longer sides
NARROWEST = 0.02  # number of the narrowest
MARGIN = 0.2  # how far points may lie outside the image, in longer sides
STEP_SIDE = 96  # pixels of the longer side of what a step draws; what is saved has its own size
STEP_SOFTNESS = 2.0  # pixels of an edge in a step: a gradient reaches no further
AT_ONCE = 2**18  # pixels of curves that are computed together
KEPT_CHUNKS = 24  # as many chunks of these are kept for the way back; more are computed again
OPACITY = 0.9  # of a curve


class LinesDrawer:
    """Draw images (n 3 h w) of curves; steps draw small ones, and what is saved is drawn sharply at full size."""

    unit, encodes = 1.0, True

    def __init__(self, width: int, height: int, device: torch.device, strokes: int, fills: int):
        self.width, self.height, self.device = width, height, device
        self.strokes, self.fills = strokes, fills
        self.ratio = width / max(width, height), height / max(width, height)
        self.corner = torch.tensor(self.ratio, device=device).repeat(4)[None, :, None, None] + MARGIN

    def latent_shape(self, scale: float = 1.0) -> tuple[int, int]:
        return 1, 1 + self.fills + self.strokes

    def drawn_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        return small_size(self.width, self.height)

    def decode(self, z: Tensor, shifts: Tensor | None = None, recompute: bool = False) -> Tensor:
        height, width = small_size(self.width, self.height)
        return torch.cat([self._draw(one, height, width, recompute) for one in torch.split(z, 1)])

    def decode_full(self, z: Tensor) -> Tensor:
        return self.decode_output(z)

    @torch.no_grad()
    def decode_output(self, z: Tensor) -> Tensor:
        """Draw at full size, each curve only where it is."""
        columns, longer = z[0, :, 0].T, max(self.width, self.height)
        pixels = torch.unflatten(middles(self.height, self.width, self.device), 1, (self.height, self.width))
        image = columns[0, COLOUR, None, None].repeat(1, self.height, self.width)
        for i, (top, left, bottom, right) in enumerate(self._boxes(columns[1:], longer), 1):
            part = image[:, top:bottom, left:right]
            places = pixels[:, top:bottom, left:right].flatten(1)
            given = part.flatten(1), columns[i : i + 1], places, longer, 1.0, i <= self.fills
            part.copy_(paint_over(*given).view_as(part))
        return image[None]

    def _boxes(self, columns: Tensor, longer: int) -> list[list[int]]:
        """List the top, left, bottom and right of what each curve (s 12) may cover; no box is empty."""
        x, y = torch.unflatten(columns[:, POINTS] * longer, 1, (4, 2)).unbind(2)
        reach = columns[:, WIDTH] * (WIDTHS * longer / 2) + 1
        sides = [y.amin(1) - reach, x.amin(1) - reach, y.amax(1) + reach + 1, x.amax(1) + reach + 1]
        low = torch.tensor([0, 0, 1, 1])
        high = torch.tensor([self.height - 1, self.width - 1, self.height, self.width])
        boxes = torch.stack(sides, 1).cpu().long().clamp(low, high)
        return [list(map(int, box)) for box in boxes.tolist()]

    def shifts(self, shape: tuple[int, int], seeds: Sequence[int]) -> None:
        return None

    @torch.no_grad()
    def encode(self, image: Tensor, shape: tuple[int, int]) -> Tensor:
        """Lay short curves at random places, each in the image's colour there; their places are always the same."""
        z = self.random_latent(shape, torch.Generator().manual_seed(0))
        fitted = cover(image, *small_size(self.width, self.height)).clamp(0, 1).to(z)
        middle = torch.unflatten(z[:, POINTS], 1, (4, 2)).mean(1).permute(0, 2, 3, 1)  # 1 1 s 2
        at = middle / torch.tensor(self.ratio, device=self.device) * 2 - 1
        z[:, COLOUR] = motion.sample(fitted, at, "reflect", "bilinear")
        z[:, COLOUR, :, 0] = fitted.mean((2, 3))[..., None]
        return z

    def random_latent(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Spread curves over the image: filled shapes are large, strokes short and thin."""
        count = shape[1]
        middle = torch.rand(1, 1, 2, count, generator=generator) * torch.tensor(self.ratio)[:, None]
        reach = torch.full((count,), 0.06)
        reach[1 : 1 + self.fills] = 0.15
        points = middle + reach * torch.randn(1, 4, 2, count, generator=generator)
        rest = torch.rand(1, 4, count, generator=generator)
        rest[:, 0] = 0.1 + 0.2 * rest[:, 0]
        z = torch.cat([points.flatten(1, 2), rest], 1)[:, :, None].to(self.device)
        self.project(z)
        return z

    @torch.no_grad()
    def project(self, z: Tensor) -> None:
        """Keep points near the image, and widths and colours within their bounds, in place."""
        z[:, POINTS] = z[:, POINTS].clamp(min=-MARGIN).minimum(self.corner)
        z[:, WIDTH].clamp_(NARROWEST, 1)
        z[:, COLOUR].clamp_(0, 1)

    def resize(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Leave it: all stages have the same curves."""
        return x

    def moved(self, moments: Tensor, grid: Callable[[tuple[int, int]], Tensor], border: str) -> Tensor:
        """Leave them: each curve keeps its own."""
        return moments

    @torch.no_grad()
    def move(self, z: Tensor, grid: Tensor) -> Tensor:
        """Move the curves as the sampling grid (1 y x 2) moves an image, by the affine map that is nearest to it."""
        there, scale = still_grid(grid).flatten(0, 2), torch.tensor(self.ratio) / 2
        ones = torch.ones(len(there), 1)
        # The grid says where each place comes from, and the curves are to go the other way.
        back = torch.linalg.lstsq(torch.cat([grid.flatten(0, 2).cpu(), ones], 1), there).solution
        points = torch.unflatten(z[:, POINTS], 1, (4, 2)).movedim(2, -1).cpu()  # 1 4 1 s 2
        moved = (((points / scale - 1) @ back[:2] + back[2]) + 1) * scale
        result = z.clone()
        result[:, POINTS] = moved.movedim(-1, 2).flatten(1, 2).to(z)
        result[:, WIDTH] *= back[:2].det().abs().sqrt().to(z)
        self.project(result)
        return result

    def svg(self, z: Tensor) -> str:
        """Write a latent (1 12 1 s) as an SVG file, whose curves are those of the image."""
        longer = max(self.width, self.height)
        values = z[0, :, 0].T.detach().cpu()
        ground, *curves = [(column, colour_name(column[COLOUR])) for column in values]
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}">',
            f'<rect width="{self.width}" height="{self.height}" fill="{ground[1]}"/>',
            f'<g fill-rule="evenodd" stroke-linecap="round" fill-opacity="{OPACITY}" stroke-opacity="{OPACITY}">',
        ]
        for i, (column, colour) in enumerate(curves):
            numbers = " ".join(f"{value:.2f}" for value in (column[POINTS] * longer).tolist())
            start, rest = " ".join(numbers.split()[:2]), " ".join(numbers.split()[2:])
            if i < self.fills:
                lines.append(f'<path d="M {start} C {rest} Z" fill="{colour}"/>')
            else:
                width = float(column[WIDTH]) * WIDTHS * longer
                lines.append(
                    f'<path d="M {start} C {rest}" fill="none" stroke="{colour}" stroke-width="{width:.2f}"/>'
                )
        return "\n".join([*lines, "</g>", "</svg>"]) + "\n"

    def _draw(self, z: Tensor, height: int, width: int, recompute: bool) -> Tensor:
        """Draw the curves of a latent (1 12 1 s) over each other; many curves are computed again going back."""
        columns, pixels = z[0, :, 0].T, middles(height, width, self.device)
        image = columns[0, COLOUR, None].expand(3, pixels.shape[1])
        chunks = self._chunks(pixels.shape[1])
        for begin, end in chunks:
            given = (
                image,
                columns[begin:end],
                pixels,
                max(height, width),
                STEP_SOFTNESS,
                begin <= self.fills,
            )
            if recompute or len(chunks) > KEPT_CHUNKS:
                image = checkpoint(paint_over, *given, use_reentrant=False, preserve_rng_state=False)
            else:
                image = paint_over(*given)
        return torch.unflatten(image, 1, (height, width))[None]

    def _chunks(self, pixels: int) -> list[tuple[int, int]]:
        """List where chunks of curves begin and end; each has one kind of curve."""
        size = max(1, AT_ONCE // pixels)
        ends = [1, 1 + self.fills, 1 + self.fills + self.strokes]
        return [
            (begin, min(begin + size, last))
            for first, last in itertools.pairwise(ends)
            for begin in range(first, last, size)
        ]


def paint_over(
    image: Tensor, columns: Tensor, pixels: Tensor, longer: int, softness: float, filled: bool
) -> Tensor:
    """Draw curves (s 12) over an image (3 p), one after the other."""
    points = torch.unflatten(columns[:, POINTS], 1, (4, 2)) * longer
    if filled:
        covered = fill_coverage(points, pixels, softness)
    else:
        covered = stroke_coverage(points, columns[:, WIDTH] * (WIDTHS * longer), pixels, softness)
    for share, colour in zip(OPACITY * covered, columns[:, COLOUR], strict=True):
        image = image + share * (colour[:, None] - image)
    return image


def small_size(width: int, height: int) -> tuple[int, int]:
    """Give the height and width of what a step draws."""
    scale = min(1.0, STEP_SIDE / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def middles(height: int, width: int, device: torch.device) -> Tensor:
    """List the middles (2 p) of an image's pixels as (x, y), row by row."""
    y, x = (torch.arange(side, device=device) + 0.5 for side in (height, width))
    return torch.stack([x.repeat(height), y.repeat_interleave(width)])


def still_grid(like: Tensor) -> Tensor:
    """Make the sampling grid (1 y x 2), of the shape of another, that moves nothing."""
    still = torch.eye(2, 3)[None]
    return torch.nn.functional.affine_grid(still, [1, 1, *like.shape[1:3]], align_corners=False)


def colour_name(colour: Tensor) -> str:
    """Write a colour (3) in [0, 1] as #RRGGBB."""
    return "#" + "".join(f"{math.floor(value * 255 + 0.5):02x}" for value in colour.tolist())
