"""Kernels for a CPU, picked by hand among torch's inner functions, with backward passes written out where that pays.

Left alone, autograd keeps the input of each convolution for a gradient of the weights that nobody asks for, and the
result of each normalisation for the activation behind it. Inner functions promise nothing to other devices: nothing
here is called on them.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = 4  # tokens, in multiples of a head's channels, whose attention is written out


def convolve(x: Tensor, conv: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    """A frozen convolution (n c h w) -> (n d h' w'), zero-padded, that keeps nothing."""
    return _Convolve.apply(x, conv)


def norm_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """silu(norm(x)) of a frozen group normalisation (n c h w) that keeps x alone."""
    return _NormSilu.apply(x, norm)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What each query (n h l d) sees of the values: softmax(q k^T / sqrt d) v.

    torch's own kernel never holds the l x l weights, which pays for many tokens. Its gradient in bf16 takes nine times
    as long as that of the plain products for 50 tokens, and twice as long for 200.
    """
    if q.shape[2] > FEW * q.shape[3]:
        return F.scaled_dot_product_attention(q, k, v)
    return (q * q.shape[3] ** -0.5 @ k.mT).softmax(-1) @ v


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
        ctx.conv, ctx.like = conv, torch.empty_like(x, device="meta")
        return torch.convolution(x, conv.weight, conv.bias, *_geometry(conv))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        conv, (grad,) = ctx.conv, grads
        dtype = torch.float32 if _crawls(conv) else grad.dtype
        # Only the shape and the layout of the input are read: pages that nobody writes take no memory.
        x = torch.empty_like(ctx.like, device=grad.device, dtype=dtype)
        outputs = [True, False, False]
        passed = torch.ops.aten.convolution_backward(
            grad.to(dtype), x, conv.weight.to(dtype), None, *_geometry(conv), outputs
        )
        return passed[0].to(grad.dtype), None


def _crawls(conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether the gradient is taken one number at a time: of strides over separate channels, unless it is fp32."""
    return conv.groups > 1 and conv.stride != (1, 1)


def _geometry(conv: nn.Conv2d | nn.ConvTranspose2d) -> tuple[Any, ...]:
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
    """Tensors (n c h w) of one shape, some rows at a time: as many as the caches hold."""
    n, c, _, w = images[0].shape
    rows = max(1, 2**20 // (n * c * w))
    return zip(*(torch.split(image, rows, 2) for image in images), strict=True)
