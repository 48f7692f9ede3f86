"""How frozen layers are computed: by torch's public functions, or by what suits a device better.

Whoever computes with a network equips its layers with the kernels for the device once, before it is moved there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from vqclip.base.device import strengths
from vqclip.models import cpu_kernels

CPU = torch.device("cpu")

Convolution = nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class Kernels:
    """What a frozen layer calls. All kernels agree in value and gradient but for rounding."""

    convolve: Callable[[Tensor, Convolution], Tensor]  # (n c h w) -> (n d h' w'), zero-padded
    norm_silu: Callable[[Tensor, nn.GroupNorm], Tensor]  # silu(norm(x)) of (n c h w)
    attend: Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys and values (n h l d) -> (n h l d)
    layout: torch.memory_format  # of convolutions' weights, and so of what they compute
    patches: bool  # convolutions whose windows lie side by side are taken as one product of matrices


def convolve(x: Tensor, conv: Convolution) -> Tensor:
    """A frozen convolution that keeps nothing, by public functions."""
    return _Convolve.apply(x, conv)


def norm_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """A frozen normalisation and its activation, by public functions."""
    return F.silu(F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps))


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


PUBLIC = Kernels(convolve, norm_silu, F.scaled_dot_product_attention, torch.contiguous_format, patches=False)
ON_CPU = Kernels(
    cpu_kernels.convolve, cpu_kernels.norm_silu, cpu_kernels.attend, torch.channels_last, patches=True
)


def kernels_for(device: torch.device) -> Kernels:
    """The kernels that are fastest on a device. On a GPU channels that lie last were slower than torch's own order."""
    return ON_CPU if strengths(device).own_kernels else PUBLIC
