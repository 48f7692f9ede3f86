"""Compute a group normalisation and its activation in three kernels over channels that lie last, for CUDA.

torch's own normalisation reads each group's channels in their own order, so that convolutions that are fastest with
channels last would have their results copied twice. Everything is summed in fp32 and in a fixed order.

Letters in shapes: n images, p pixels, c channels, g groups, b blocks of pixels that one program reads.
Triton is imported with this module. TRITON_INTERPRET=1 runs the kernels on a CPU.
"""

# Triton reads the kernels' sources, and its types are none of Python's.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

TILE = 2**12  # numbers that a program holds at a time
BLOCKS = 512  # programs an image at most; their partial sums are added by one program a group


def norm_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Compute silu(norm(x)) of a frozen group normalisation (n c h w), channels last; only x is kept."""
    return _NormSilu.apply(x, norm)


class _NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: nn.GroupNorm) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        sizes = _Sizes(x, norm)
        first, second = (
            x.new_empty(x.shape[0], sizes.blocks, x.shape[1], dtype=torch.float32) for _ in range(2)
        )
        mean, rstd = (x.new_empty(x.shape[0], norm.num_groups, dtype=torch.float32) for _ in range(2))
        y = torch.empty_like(x)
        moments, weights = (mean, rstd), (norm.weight, norm.bias, sizes.per_group)
        _launch(_block_moments, sizes.by_block, x, first, second, *sizes.image, *sizes.tile)
        _launch(_group_moments, sizes.by_group, first, second, *moments, norm.eps, *sizes.image, *sizes.group)
        _launch(_apply, sizes.by_block, x, y, *moments, *weights, *sizes.image, *sizes.tile)
        ctx.norm, ctx.sizes = norm, sizes
        ctx.save_for_backward(x, mean, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, mean, rstd = ctx.saved_tensors
        norm, sizes = ctx.norm, ctx.sizes
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        first, second = (
            x.new_empty(x.shape[0], sizes.blocks, x.shape[1], dtype=torch.float32) for _ in range(2)
        )
        plain, along = torch.empty_like(mean), torch.empty_like(mean)
        dx = torch.empty_like(x)
        given = (x, grad, mean, rstd, norm.weight, norm.bias)
        by_block, last = sizes.by_block, (sizes.per_group, *sizes.image, *sizes.tile)
        means = (plain, along, *sizes.image, *sizes.group)
        _launch(_block_gradients, by_block, *given, first, second, *last)
        _launch(_group_gradients, sizes.by_group, first, second, norm.weight, *means)
        _launch(_input_gradient, by_block, *given, plain, along, dx, *last)
        return dx, None


def _launch(kernel: Any, grid: tuple[int, int], first: Tensor, *others: Any) -> None:
    """Run a kernel on the device of its first argument; on the meta device there is nothing to compute.

    Triton runs a kernel on the current device, which needn't be the tensors' own, and takes a meta tensor's address,
    0, for one that it may write to.
    """
    if not first.is_meta:
        with torch.cuda.device_of(first):  # which does nothing for tensors of a CPU
            kernel[grid](first, *others)


class _Sizes:
    """Divide images (n c h w) among programs; all follows from shapes, so that a graph can be captured."""

    def __init__(self, x: Tensor, norm: nn.GroupNorm):
        n, channels = x.shape[:2]
        pixels = x.shape[2] * x.shape[3]
        width = triton.next_power_of_2(channels)
        rows = max(1, TILE // width)
        span = triton.cdiv(triton.cdiv(pixels, min(BLOCKS, triton.cdiv(pixels, rows))), rows) * rows
        self.blocks = triton.cdiv(pixels, span)
        self.per_group = channels // norm.num_groups
        self.image = (pixels, channels, span)
        self.tile = (rows, width)
        self.group = (
            self.blocks,
            self.per_group,
            float(
                pixels * self.per_group
            ),  # Triton makes a constant of a whole number that is 1, which .to() refuses
            triton.next_power_of_2(self.blocks),
            triton.next_power_of_2(self.per_group),
        )
        self.by_block = (n, self.blocks)
        self.by_group = (n, norm.num_groups)


@triton.jit
def _tile(image, at, end, row, channel, pixels, channels):
    """Where a tile's numbers lie, pixels from `at` on by all channels, and which of them there are."""
    pixel = at + row
    where = (pixel < end)[:, None] & (channel < channels)[None, :]
    return (image * pixels + pixel[:, None]) * channels + channel[None, :], where


@triton.jit
def _before_silu(x, grad, place, where, scale, middle, factor, offset):
    """A tile's normalised x, and its gradient before the activation."""
    normed = (tl.load(x + place, where, 0.0).to(tl.float32) - middle[None, :]) * scale[None, :]
    u = normed * factor[None, :] + offset[None, :]
    lit = tl.sigmoid(u)
    return normed, tl.load(grad + place, where, 0.0).to(tl.float32) * lit * (1 + u * (1 - lit))


@triton.jit
def _block_moments(x, means, deviations, pixels, channels, span, rows: tl.constexpr, width: tl.constexpr):
    """Per channel, the mean of a block's pixels, and the sum of their squared distances from it.

    Distances from the block's first pixel are summed: squares of the numbers themselves would lose the digits in which
    they differ.
    """
    image, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel, row = tl.arange(0, width), tl.arange(0, rows)
    is_channel = channel < channels
    begin, end = block * span, tl.minimum((block + 1) * span, pixels)
    shift = tl.load(x + (image * pixels + begin) * channels + channel, is_channel, 0.0).to(tl.float32)
    total, squares = tl.zeros([width], tl.float32), tl.zeros([width], tl.float32)
    for at in range(begin, end, rows):
        place, where = _tile(image, at, end, row, channel, pixels, channels)
        off = tl.where(where, tl.load(x + place, where, 0.0).to(tl.float32) - shift[None, :], 0.0)
        total += tl.sum(off, 0)
        squares += tl.sum(off * off, 0)
    count = (end - begin).to(tl.float32)
    place = (image * tl.num_programs(1) + block) * channels + channel
    tl.store(means + place, shift + total / count, is_channel)
    tl.store(deviations + place, squares - total * total / count, is_channel)


@triton.jit
def _group_moments(
    means, deviations, mean, rstd, eps, pixels, channels, span, blocks, per_group, size,
    rows: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    """A group's mean and the inverse of its standard deviation, of the moments of its blocks."""
    image, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    block, channel = tl.arange(0, rows), tl.arange(0, width)
    where = (block < blocks)[:, None] & (channel < per_group)[None, :]
    place = (image * blocks + block[:, None]) * channels + group * per_group + channel[None, :]
    counts = tl.minimum(span, pixels - block * span).to(tl.float32)[:, None]
    of_block = tl.load(means + place, where, 0.0)
    whole = tl.sum(tl.sum(tl.where(where, counts * of_block, 0.0), 1), 0) / size
    off = of_block - whole
    spread = tl.where(where, tl.load(deviations + place, where, 0.0) + counts * off * off, 0.0)
    variance = tl.sum(tl.sum(spread, 1), 0) / size
    tl.store(mean + image * tl.num_programs(1) + group, whole)
    tl.store(rstd + image * tl.num_programs(1) + group, 1 / tl.sqrt(variance + eps))


@triton.jit
def _apply(
    x, y, mean, rstd, weight, bias, per_group, pixels, channels, span, rows: tl.constexpr, width: tl.constexpr
):
    """silu(weight * normalised + bias) of a block's pixels."""
    image, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel, row = tl.arange(0, width), tl.arange(0, rows)
    is_channel = channel < channels
    of_group = image * (channels // per_group) + channel // per_group
    scale = tl.load(rstd + of_group, is_channel, 0.0) * tl.load(weight + channel, is_channel, 0.0).to(
        tl.float32
    )
    middle = tl.load(mean + of_group, is_channel, 0.0)
    offset = tl.load(bias + channel, is_channel, 0.0).to(tl.float32)
    begin, end = block * span, tl.minimum((block + 1) * span, pixels)
    for at in range(begin, end, rows):
        place, where = _tile(image, at, end, row, channel, pixels, channels)
        u = (tl.load(x + place, where, 0.0).to(tl.float32) - middle[None, :]) * scale[None, :] + offset[
            None, :
        ]
        tl.store(y + place, (u * tl.sigmoid(u)).to(y.dtype.element_ty), where)


@triton.jit
def _block_gradients(
    x, grad, mean, rstd, weight, bias, plain, along, per_group, pixels, channels, span,
    rows: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    """Per channel, the sums over a block of the gradient before the activation, and of it times the normalised x."""
    image, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel, row = tl.arange(0, width), tl.arange(0, rows)
    is_channel = channel < channels
    of_group = image * (channels // per_group) + channel // per_group
    scale, middle = tl.load(rstd + of_group, is_channel, 0.0), tl.load(mean + of_group, is_channel, 0.0)
    factor = tl.load(weight + channel, is_channel, 0.0).to(tl.float32)
    offset = tl.load(bias + channel, is_channel, 0.0).to(tl.float32)
    begin, end = block * span, tl.minimum((block + 1) * span, pixels)
    total, products = tl.zeros([width], tl.float32), tl.zeros([width], tl.float32)
    for at in range(begin, end, rows):
        place, where = _tile(image, at, end, row, channel, pixels, channels)
        normed, g = _before_silu(x, grad, place, where, scale, middle, factor, offset)
        total += tl.sum(g, 0)
        products += tl.sum(g * normed, 0)
    place = (image * tl.num_programs(1) + block) * channels + channel
    tl.store(plain + place, total, is_channel)
    tl.store(along + place, products, is_channel)


@triton.jit
def _group_gradients(
    plain, along, weight, mean_plain, mean_along, pixels, channels, span, blocks, per_group, size,
    rows: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    """The means over a group of both, weighted as its channels are."""
    image, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    block, channel = tl.arange(0, rows), tl.arange(0, width)
    is_channel = channel < per_group
    where = (block < blocks)[:, None] & is_channel[None, :]
    place = (image * blocks + block[:, None]) * channels + group * per_group + channel[None, :]
    factor = tl.load(weight + group * per_group + channel, is_channel, 0.0).to(tl.float32)[None, :]
    at = image * tl.num_programs(1) + group
    tl.store(mean_plain + at, tl.sum(tl.sum(factor * tl.load(plain + place, where, 0.0), 1), 0) / size)
    tl.store(mean_along + at, tl.sum(tl.sum(factor * tl.load(along + place, where, 0.0), 1), 0) / size)


@triton.jit
def _input_gradient(
    x, grad, mean, rstd, weight, bias, mean_plain, mean_along, dx, per_group, pixels, channels, span,
    rows: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    """The gradient of x: rstd * (weight * g - mean(weight g) - normalised * mean(weight g normalised))."""
    image, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    channel, row = tl.arange(0, width), tl.arange(0, rows)
    is_channel = channel < channels
    of_group = image * (channels // per_group) + channel // per_group
    scale, middle = tl.load(rstd + of_group, is_channel, 0.0), tl.load(mean + of_group, is_channel, 0.0)
    first = tl.load(mean_plain + of_group, is_channel, 0.0)
    second = tl.load(mean_along + of_group, is_channel, 0.0)
    factor = tl.load(weight + channel, is_channel, 0.0).to(tl.float32)
    offset = tl.load(bias + channel, is_channel, 0.0).to(tl.float32)
    begin, end = block * span, tl.minimum((block + 1) * span, pixels)
    for at in range(begin, end, rows):
        place, where = _tile(image, at, end, row, channel, pixels, channels)
        normed, g = _before_silu(x, grad, place, where, scale, middle, factor, offset)
        d = scale[None, :] * (factor[None, :] * g - first[None, :] - normed * second[None, :])
        tl.store(dx + place, d.to(dx.dtype.element_ty), where)
