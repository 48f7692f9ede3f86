"""Provide general tensor functions, each with its source."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def unit(x: Tensor) -> Tensor:
    """Scale vectors (... d) to length one."""
    return F.normalize(x, dim=-1)


def spherical_distance(x: Tensor, y: Tensor) -> Tensor:
    """Compute half the squared angle between unit vectors (... d) and (... d) -> (...), from 0 to pi^2 / 2.

    2 arcsin(|x - y| / 2)^2, the distance that the first VQGAN+CLIP notebooks (Crowson, 2021) put in place of the
    cosine. The chord is kept off 0 and 2, where the gradients of the norm and of arcsin are not finite.
    """
    chord = (x - y).square().sum(-1).clamp(min=1e-12).sqrt().clamp(1e-6, 2 - 1e-6)
    return 2 * torch.arcsin(chord / 2).square()


def slerp(x: Tensor, y: Tensor, share: float) -> Tensor:
    """Interpolate unit vectors (... d) at `share` of the way from x to y on the great circle (Shoemake, 1985)."""
    angle = (x * y).sum(-1, keepdim=True).clamp(-1, 1).arccos()
    straight = unit(x + share * (y - x))
    arc = (((1 - share) * angle).sin() * x + (share * angle).sin() * y) / angle.sin().clamp(min=1e-6)
    return torch.where(angle.sin() > 1e-3, arc, straight)


def straight_through(forward: Tensor, backward: Tensor) -> Tensor:
    """Give the value of one tensor with the gradient of the other (Bengio et al., 2013, arXiv 1308.3432)."""
    return forward.detach() + (backward - backward.detach())


class _ClampWithGrad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(x - x.clamp(low, high))
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (excess,) = ctx.saved_tensors
        return grads[0] * (grads[0] * excess >= 0), None, None


def clamp_with_grad(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Clamp, and stop only gradients that lead further out of [low, high]; those that lead back in pass."""
    return _ClampWithGrad.apply(x, low, high)


def constants(rows: Sequence[Sequence[float]], device: torch.device) -> Tensor:
    """Make a table of numbers on a device without a copy from the CPU, which a captured graph may not make."""
    numbers = [torch.full((), number, device=device) for row in rows for number in row]
    return torch.stack(numbers).view(len(rows), -1)


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resample images (n c h w) bicubically, without aliasing where they shrink."""
    if x.shape[-2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode="bicubic", antialias=True, align_corners=False)


def cover(image: Tensor, height: int, width: int) -> Tensor:
    """Scale an image (1 3 h w) until it covers height x width, and cut what sticks out from both sides evenly."""
    scale = max(height / image.shape[2], width / image.shape[3])
    rows, columns = (
        max(round(side * scale), want) for side, want in zip(image.shape[2:], (height, width), strict=True)
    )
    image = resize(image, rows, columns)
    top, left = (rows - height) // 2, (columns - width) // 2
    return image[..., top : top + height, left : left + width]


def fractal_noise(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw an image (1 3 h w) in [0, 1] of smooth noise, each octave half as coarse and strong as the one before."""
    octaves = max(1, int(math.log2(max(2, min(height, width)))) - 1)
    image = torch.zeros(1, 3, height, width)
    for octave in range(octaves):
        coarse = torch.rand(1, 3, 2 ** (octave + 1), 2 ** (octave + 1), generator=generator)
        image += F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False) * 0.5**octave
    low, high = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    return (image - low) / (high - low).clamp(min=1e-6)


def gradient_image(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw an image (1 3 h w) in [0, 1] that blends four random corner colours."""
    corners = torch.rand(1, 3, 2, 2, generator=generator)
    return F.interpolate(corners, (height, width), mode="bilinear", align_corners=True)


def homographies(corners: Tensor) -> Tensor:
    """Compute the projective maps (n 3 3) that take the corners of [-1, 1]^2 to `corners` (n 4 2).

    Order: upper left, upper right, lower right, lower left. Direct linear transform with the last entry fixed
    at 1 (Hartley & Zisserman, Multiple View Geometry, section 4.1).
    """
    x, y = torch.tensor([[-1.0, 1, 1, -1], [-1, -1, 1, 1]], dtype=corners.dtype).unsqueeze(1)
    x, y = x.expand(len(corners), 4), y.expand(len(corners), 4)
    u, v = corners.unbind(-1)
    one, zero = torch.ones_like(u), torch.zeros_like(u)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    solution = torch.linalg.solve(torch.cat([rows_u, rows_v], 1), torch.cat([u, v], 1))
    return torch.cat([solution, one[:, :1]], 1).view(-1, 3, 3)


def windows(image: Tensor, side: int) -> Tensor:
    """Cut an image (1 3 h w) into squares (n 3 s s) that cover it and overlap as little as possible.

    An image that is narrower is first enlarged.
    """
    height, width = image.shape[2:]
    if min(height, width) < side:
        scale = side / min(height, width)
        height, width = max(side, round(height * scale)), max(side, round(width * scale))
        image = resize(image, height, width)
    tops, lefts = (
        torch.linspace(0, length - side, -(-length // side)).round().long().tolist()
        for length in (height, width)
    )
    return torch.cat([image[:, :, top : top + side, left : left + side] for top in tops for left in lefts])
