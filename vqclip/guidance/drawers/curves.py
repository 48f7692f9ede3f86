"""Rasterise cubic Bézier curves differentiably: strokes by their distance, filled shapes by their signed distance.

Li et al., "Differentiable Vector Graphics Rasterization for Editing and Learning" (2020, doi 10.1145/3414685.3417871),
with the nearest point of each curve found by samples and Newton's method. Letters in shapes: s curves of four points
(x, y), p pixels. Lengths are in pixels, and a pixel's middle lies at a half.

The nearest point is a sum of the four points by weights, and a change of the weights along the curve doesn't change the
distance at first order. So the weights are found without gradients, and the gradient through the sum is exact.
"""

import torch
from torch import Tensor

from vqclip.base.device import exact_products

SAMPLES = 8  # stretches of a curve, at whose ends the nearest point is looked for
REFINEMENTS = 2  # Newton steps from there
EDGES = 24  # straight lines that stand for a curve where the inside is looked for


def bernstein(t: Tensor) -> Tensor:
    """Compute the weights (s 4 p) of a cubic curve's four points at the parameters t (s p) in [0, 1]."""
    u = 1 - t
    return torch.stack([u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t], 1)


def along(points: Tensor, number: int) -> Tensor:
    """Compute the points (s k 2) of curves (s 4 2) that divide them into so many stretches."""
    t = torch.linspace(0, 1, number + 1, device=points.device)
    with exact_products(points.device):
        return bernstein(t[None])[0].T @ points


@torch.no_grad()
def nearest(points: Tensor, pixels: Tensor) -> Tensor:
    """Find the parameter (s p) of the point of each curve (s 4 2) that lies nearest to each pixel (2 p)."""
    best = points.new_full((len(points), pixels.shape[1]), float("inf"))
    t = torch.zeros_like(best)
    for k, sample in enumerate(along(points, SAMPLES).unbind(1)):
        # The square of the distance without the pixel's own, which all samples share.
        with exact_products(points.device):
            away = torch.addmm(sample.square().sum(1, keepdim=True), sample, pixels, alpha=-2)
        t = torch.where(away < best, k / SAMPLES, t)
        best = best.minimum(away)
    return _refined(t, points, pixels)


def _refined(t: Tensor, points: Tensor, pixels: Tensor) -> Tensor:
    """Take Newton steps of parameters (s p) to where the distance from pixels (2 p) is least."""
    # The curve is ((a t + b) t + c) t + d in each coordinate.
    first, second, third, last = points.mT.unbind(2)  # s 2
    d, c, b = first, 3 * (second - first), 3 * (first - 2 * second + third)
    a = last - first - 3 * (third - second)
    for _ in range(REFINEMENTS):
        slope, bend = torch.zeros_like(t), torch.zeros_like(t)
        for axis in (0, 1):
            ka, kb, kc, kd = (k[:, axis, None] for k in (a, b, c, d))
            gap = ((ka * t + kb) * t + kc) * t + (kd - pixels[axis])
            speed = (3 * ka * t + 2 * kb) * t + kc
            slope += gap * speed
            bend += speed * speed + gap * (6 * ka * t + 2 * kb)
        step = (slope / bend.clamp(min=1e-3)).clamp(-1 / SAMPLES, 1 / SAMPLES)
        t = (t - step).clamp(0, 1)
    return t


@torch.no_grad()
def of_outline(t: Tensor, points: Tensor, pixels: Tensor) -> Tensor:
    """Find the weights (s 4 p) of the nearest point of a closed curve: at its parameter t, or on its chord."""
    start, end = points[:, 0, :, None], points[:, 3, :, None]
    chord = end - start
    share = ((pixels - start) * chord).sum(1) / chord.square().sum(1).clamp(min=1e-6)
    share = share.clamp(0, 1)
    zero = torch.zeros_like(share)
    both = bernstein(t), torch.stack([1 - share, zero, zero, share], 1)
    gaps = [distance(points, weights, pixels)[:, None] for weights in both]
    return torch.where(gaps[0] < gaps[1], *both)


@torch.no_grad()
def inside(points: Tensor, pixels: Tensor) -> Tensor:
    """Tell (s p) which pixels lie inside a curve and its chord, by the number of edges to their right."""
    corners = along(points, EDGES)
    is_inside = torch.zeros(len(points), pixels.shape[1], dtype=torch.bool, device=points.device)
    x, y = pixels
    for i in range(EDGES + 1):
        (ax, ay), (bx, by) = (corners[:, k, :, None].unbind(1) for k in (i - 1, i))
        slope = (bx - ax) / torch.where(by == ay, 1, by - ay)
        is_inside ^= ((ay > y) != (by > y)) & (x - slope * y < ax - slope * ay)
    return is_inside


def distance(points: Tensor, weights: Tensor, pixels: Tensor) -> Tensor:
    """Measure the distance (s p) of pixels from the points that weights (s 4 p) give, differentiably in the points."""
    with exact_products(points.device):
        x, y = (points.mT @ weights - pixels).unbind(1)
    return (x * x + y * y + 1e-6).sqrt()


def stroke_coverage(points: Tensor, width: Tensor, pixels: Tensor, softness: float) -> Tensor:
    """Compute how much (s p) strokes of a width (s) with round ends cover pixels; edges are ramps of `softness`."""
    away = distance(points, bernstein(nearest(points, pixels)), pixels)
    thin = (width[:, None] / softness).clamp(
        max=1
    )  # narrower than an edge: as much colour as its width holds
    return (0.5 + (width[:, None] / 2 - away) / softness).clamp(0, 1) * thin


def fill_coverage(points: Tensor, pixels: Tensor, softness: float) -> Tensor:
    """Compute how much (s p) curves, closed by their chords and filled by the even-odd rule, cover pixels."""
    weights = of_outline(nearest(points, pixels), points, pixels)
    side = torch.where(inside(points, pixels), 1 / softness, -1 / softness)
    return (0.5 + side * distance(points, weights, pixels)).clamp(0, 1)
