"""How frozen layers are computed: by torch's public functions, or by what suits a device better.

Whoever computes with a network equips its layers with the kernels for the device once, before it is moved there.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from vqclip.base.device import strengths
from vqclip.models import cpu_kernels

CPU = torch.device("cpu")
NARROW = 256  # channels of a head at most for which torch has kernels that never hold the weights
MANY = 2**12  # tokens from which on the weights of all pairs would take too much memory
TOLERANCE = 1e-4  # of Triton's kernels in fp32, as a share of the largest number

log = logging.getLogger(__name__)

Convolution = nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class Kernels:
    """What a frozen layer calls. All kernels agree in value and gradient but for rounding."""

    convolve: Callable[[Tensor, Convolution], Tensor]  # (n c h w) -> (n d h' w'), zero-padded
    norm_silu: Callable[[Tensor, nn.GroupNorm], Tensor]  # silu(norm(x)) of (n c h w)
    attend: Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys and values (n h l d) -> (n h l d)
    attend_wide: Callable[[Tensor, Tensor, Tensor], Tensor]  # the same for one head of hundreds of channels
    layout: torch.memory_format  # of convolutions' weights, and so of what they compute
    patches: bool  # convolutions whose windows lie side by side are taken as one product of matrices


def convolve(x: Tensor, conv: Convolution) -> Tensor:
    """A frozen convolution that keeps nothing, by public functions."""
    return _Convolve.apply(x, conv)


def norm_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """A frozen normalisation and its activation, by public functions."""
    return F.silu(F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps))


def attend_wide(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of one wide head (n 1 l d), by plain products where its weights (l l) are small.

    torch's kernels that never hold these weights are made for narrow heads. On a GPU the gradient of 512 channels took
    1.1 ms, more than all products together.
    """
    if q.shape[3] <= NARROW or q.shape[2] > MANY:
        return F.scaled_dot_product_attention(q, k, v)
    weights = (q * q.shape[3] ** -0.5 @ k.mT).softmax(-1, dtype=torch.float32).to(v.dtype)
    return weights @ v


class _Convolve(torch.autograd.Function):
    """Left alone, autograd keeps the input for a gradient of the weights that nobody asks for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: Convolution) -> Tensor:
        ctx.conv, ctx.shape = conv, x.shape
        stride, padding, dilation, groups = _geometry(conv)
        if isinstance(conv, nn.ConvTranspose2d):
            return F.conv_transpose2d(
                x, conv.weight, conv.bias, stride, padding, conv.output_padding, groups, dilation
            )  # fmt: skip
        return F.conv2d(x, conv.weight, conv.bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        conv, (grad,) = ctx.conv, grads
        if isinstance(conv, nn.ConvTranspose2d):
            return F.conv2d(grad, conv.weight, None, *_geometry(conv)), None
        passed: Tensor = conv2d_input(ctx.shape, conv.weight, grad, *_geometry(conv))  # type: ignore[no-untyped-call]
        return passed, None


def _geometry(conv: Convolution) -> Any:
    return conv.stride, conv.padding, conv.dilation, conv.groups


PUBLIC = Kernels(
    convolve, norm_silu, F.scaled_dot_product_attention, attend_wide, torch.contiguous_format, patches=False
)
ON_CPU = Kernels(
    cpu_kernels.convolve, cpu_kernels.norm_silu, cpu_kernels.attend, F.scaled_dot_product_attention,
    torch.channels_last, patches=True,
)  # fmt: skip


def kernels_for(device: torch.device) -> Kernels:
    """The kernels that are fastest on a device.

    On a GPU channels that lie last were slower than torch's own order, since its normalisation has them copied. Ours of
    Triton reads them as they lie.
    """
    if strengths(device).own_kernels:
        return ON_CPU
    return (with_triton(device) or PUBLIC) if strengths(device).triton else PUBLIC


@cache
def with_triton(device: torch.device) -> Kernels | None:
    """The public kernels with Triton's normalisation; None where it doesn't agree with torch's, or fails."""
    try:
        from vqclip.models import triton_kernels  # noqa: PLC0415  # torch's CPU builds come without Triton

        differs = difference(triton_kernels.norm_silu, device)
    except (
        Exception
    ) as error:  # an old driver, a compiler that is missing: all is as well without these kernels
        log.warning("Triton's kernels can't be used here: %s", str(error).partition("\n")[0])
        return None
    if not differs <= TOLERANCE:
        log.warning("Triton's kernels are off by %.2g here, so torch's are used", differs)
        return None
    return replace(PUBLIC, norm_silu=triton_kernels.norm_silu, layout=torch.channels_last)


def difference(norm_silu: Callable[[Tensor, nn.GroupNorm], Tensor], device: torch.device) -> float:
    """How far a normalisation and its gradient are from torch's in fp32, as a share of the largest number."""
    norm = nn.GroupNorm(8, 64, device=device).requires_grad_(False)
    x = torch.linspace(-3, 5, 64 * 48 * 48, device=device).sin().view(1, 64, 48, 48)
    found = []
    for function in (norm_silu, PUBLIC.norm_silu):
        leaf = x.clone().requires_grad_()
        y = function(leaf, norm)
        found.append((y.detach(), *torch.autograd.grad(y, leaf, x.flip(2))))
    return max(
        float((one - other).abs().max() / other.abs().max()) for one, other in zip(*found, strict=True)
    )
