"""Rasterise cubic Bézier curves differentiably: strokes by their distance, filled shapes by their signed distance.

Li et al., "Differentiable Vector Graphics Rasterization for Editing and Learning" (2020, doi 10.1145/3414685.3417871),
with the nearest point of each curve found by samples and Newton's method. Letters in shapes: s curves of four points
(x, y), p pixels. Lengths are in pixels, and a pixel's middle lies at a half.

The nearest point is a sum of the four points by weights, and a change of the weights along the curve doesn't change the
distance at first order. So the weights are found without gradients, and the gradient through the sum is exact.
"""

import torch
from torch import Tensor

SAMPLES = 12  # points of a curve among which the nearest one is looked for
REFINEMENTS = 2  # Newton steps from there


def bernstein(t: Tensor) -> Tensor:
    """Compute the weights (... 4) of a cubic curve's four points at the parameters t (...) in [0, 1]."""
    u = 1 - t
    return torch.stack([u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t], -1)


@torch.no_grad()
def nearest(points: Tensor, pixels: Tensor) -> Tensor:
    """Find the weights (s p 4) of the point of each curve (s 4 2) that lies nearest to each pixel (p 2)."""
    t = torch.linspace(0, 1, SAMPLES + 1, device=points.device)
    samples = bernstein(t) @ points  # s k 2
    # The square of the distance without the pixel's own, which all samples share.
    away = samples.square().sum(-1)[:, None] - 2 * pixels @ samples.mT
    t = t[away.argmin(-1)]
    speed = 3 * points.diff(dim=1)
    turn = 2 * speed.diff(dim=1)
    for _ in range(REFINEMENTS):
        u = 1 - t
        gap = bernstein(t) @ points - pixels
        first = torch.stack([u * u, 2 * u * t, t * t], -1) @ speed
        second = torch.stack([u, t], -1) @ turn
        bend = first.square().sum(-1) + (gap * second).sum(-1)
        step = (gap * first).sum(-1) / bend.clamp(min=1e-3)
        t = (t - step.clamp(-1 / SAMPLES, 1 / SAMPLES)).clamp(0, 1)
    return bernstein(t)


@torch.no_grad()
def nearest_of_chord(points: Tensor, pixels: Tensor) -> Tensor:
    """Find the same weights (s p 4) for the straight line from each curve's end to its beginning."""
    first, last = points[:, :1], points[:, 3:]
    along = last - first
    t = ((pixels - first) * along).sum(-1) / along.square().sum(-1).clamp(min=1e-6)
    t = t.clamp(0, 1)
    return torch.stack([1 - t, torch.zeros_like(t), torch.zeros_like(t), t], -1)


@torch.no_grad()
def inside(points: Tensor, pixels: Tensor) -> Tensor:
    """Tell (s p) which pixels lie inside a curve and its chord, by the number of edges to their right."""
    t = torch.linspace(0, 1, 2 * SAMPLES + 1, device=points.device)
    corners = bernstein(t) @ points
    is_inside = torch.zeros(len(points), len(pixels), dtype=torch.bool, device=points.device)
    x, y = pixels.unbind(-1)
    for i in range(corners.shape[1]):
        (ax, ay), (bx, by) = (corner[..., None].unbind(1) for corner in (corners[:, i - 1], corners[:, i]))
        crosses = (ay > y) != (by > y)
        at = ax + (y - ay) * (bx - ax) / torch.where(crosses, by - ay, 1)
        is_inside ^= crosses & (x < at)
    return is_inside


def distance(points: Tensor, weights: Tensor, pixels: Tensor) -> Tensor:
    """Measure the distance (s p) of pixels from the points that weights (s p 4) give, differentiably in the points."""
    return (weights @ points - pixels).square().sum(-1).add(1e-6).sqrt()


def stroke_coverage(points: Tensor, width: Tensor, pixels: Tensor, softness: float) -> Tensor:
    """Compute how much (s p) strokes of a width (s) with round ends cover pixels; edges are ramps of `softness`."""
    reach = width[:, None] / 2 - distance(points, nearest(points, pixels), pixels)
    return (0.5 + reach / softness).clamp(0, 1) * (width[:, None] / softness).clamp(max=1)


def fill_coverage(points: Tensor, pixels: Tensor, softness: float) -> Tensor:
    """Compute how much (s p) curves, closed by their chords and filled by the even-odd rule, cover pixels."""
    curve, chord = nearest(points, pixels), nearest_of_chord(points, pixels)
    gaps = [(weights @ points.detach() - pixels).square().sum(-1, keepdim=True) for weights in (curve, chord)]
    away = distance(points, torch.where(gaps[0] < gaps[1], curve, chord), pixels)
    return (0.5 + torch.where(inside(points, pixels), away, -away) / softness).clamp(0, 1)
