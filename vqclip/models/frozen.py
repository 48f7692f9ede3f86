"""Layers that have learned all they will: their backward passes keep only what the picture's gradient needs.

Left alone, autograd keeps the input of each convolution for a gradient of the weights that nobody asks for, and the
result of each normalisation for the activation behind it.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Convolution = nn.Conv2d | nn.ConvTranspose2d


def learns(module: nn.Module) -> bool:
    """Whether any parameter of a module wants a gradient."""
    return any(parameter.requires_grad for parameter in module.parameters())


def convolve(x: Tensor, conv: Convolution) -> Tensor:
    """A frozen convolution (n c h w) -> (n d h' w'), zero-padded, that keeps nothing."""
    return _Convolve.apply(x, conv)


def norm_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """silu(norm(x)) of a frozen group normalisation (n c h w) that keeps x alone."""
    return _NormSilu.apply(x, norm)


class Conv2d(nn.Conv2d):
    """A convolution that keeps nothing for its backward pass once it is frozen."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if learns(self) else convolve(x, self)


class Doubling(nn.ConvTranspose2d):
    """Doubles both sides, then convolves by 3x3, as one transposed convolution by 4x4: 16 products per cell, not 36."""

    def __init__(self, conv: nn.Conv2d):
        """The nearest-neighbour doubling before `conv`, folded into it."""
        super().__init__(conv.in_channels, conv.out_channels, 4, stride=2, padding=1)
        # A cell is read by the pixels around its 2x2 copies; each reads it through as many taps as touch a copy.
        taps = F.pad(conv.weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
        self.weight = nn.Parameter(F.avg_pool2d(taps, 2, stride=1, divisor_override=1), requires_grad=False)
        self.bias = conv.bias

    def reset_parameters(self) -> None:
        """No weights are drawn."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return convolve(x, self)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: Convolution) -> Tensor:
        ctx.conv, ctx.like = conv, torch.empty_like(x, device="meta")
        return torch.convolution(x, conv.weight, conv.bias, *_geometry(conv))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        conv, (grad,) = ctx.conv, grads
        dtype = torch.float32 if _crawls(conv, grad) else grad.dtype
        # Only the shape and the layout of the input are read: pages that nobody writes take no memory.
        x = torch.empty_like(ctx.like, device=grad.device, dtype=dtype)
        wanted = [True, False, False]
        passed = torch.ops.aten.convolution_backward(
            grad.to(dtype), x, conv.weight.to(dtype), None, *_geometry(conv), wanted
        )
        return passed[0].to(grad.dtype), None


def _crawls(conv: Convolution, grad: Tensor) -> bool:
    """Whether a CPU takes the gradient one number at a time: of strides over separate channels, unless it is fp32."""
    return grad.device.type == "cpu" and conv.groups > 1 and conv.stride != (1, 1)


def _geometry(conv: Convolution) -> tuple[Any, ...]:
    """Stride, padding, dilation, transposed, output padding, groups: the order that torch.convolution takes."""
    return conv.stride, conv.padding, conv.dilation, conv.transposed, conv.output_padding, conv.groups


class _NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: nn.GroupNorm) -> Tensor:
        n, c, h, w = x.shape
        normed, mean, rstd = torch.native_group_norm(
            x, norm.weight, norm.bias, n, c, h * w, norm.num_groups, norm.eps
        )
        ctx.norm = norm
        ctx.save_for_backward(x, mean, rstd)
        return F.silu(normed, inplace=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """With u = a x + b the normalised x, per channel, and g = silu'(u) grad: r (w g - mean(w g) - x' mean(w g x')).

        Means go over a group's pixels and channels, x' is x normalised and not scaled. torch's own backward pass of the
        normalisation is many times slower where bf16 channels lie last.
        """
        x, mean, rstd = ctx.saved_tensors
        groups, w = ctx.norm.num_groups, ctx.norm.weight.float()
        n, c = x.shape[:2]

        def per_channel(values: Tensor) -> Tensor:  # (n groups) -> (n c)
            return values.float().view(n, groups, 1).expand(n, groups, c // groups).reshape(n, c)

        def group_mean(sums: Tensor) -> Tensor:  # over pixels (n c) -> means over groups, per channel
            return per_channel((w * sums).view(n, groups, -1).sum(2) * groups / x[0].numel())

        def like_x(channels: Tensor) -> Tensor:
            return channels.to(x.dtype)[:, :, None, None]

        mean, rstd = per_channel(mean), per_channel(rstd)
        a = w * rstd
        dx = torch.empty_like(x)
        strips = list(_strips(x, grads[0], dx))
        spare = torch.empty_like(strips[0][0])
        sums, products = torch.zeros_like(a), torch.zeros_like(a)
        for x_, grad, g in strips:
            u = torch.addcmul(like_x(ctx.norm.bias - a * mean), x_, like_x(a), out=spare[:, :, : x_.shape[2]])
            torch.ops.aten.silu_backward(grad, u, grad_input=g)
            # Rounded once, at the end: asked for fp32, torch would first copy all that it sums.
            sums += g.sum((2, 3))
            products += torch.mul(g, x_, out=u).sum((2, 3))
        first = group_mean(sums)
        second = rstd * (group_mean(products) - mean * first)
        slope = -rstd.square() * second
        for x_, _, g in strips:
            rest = torch.addcmul(
                like_x(-rstd * first - mean * slope), x_, like_x(slope), out=spare[:, :, : x_.shape[2]]
            )
            torch.addcmul(rest, g, like_x(a), out=g)
        return dx, None


def _strips(*images: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors (n c h w) of one shape, some rows at a time: as many as a CPU's caches hold, elsewhere many more."""
    n, c, _, w = images[0].shape
    rows = max(1, (2**20 if images[0].device.type == "cpu" else 2**25) // (n * c * w))
    return zip(*(torch.split(image, rows, 2) for image in images), strict=True)
