"""Depthwise convolutions whose gradients a CPU takes in fp32, where it has no bf16 kernel for them.

For 16 pictures on one core with AVX-512 the gradients of the four strided ones take 178 ms in bf16 and 5 in fp32, those
of 5x5 weights 13 to 28 ms each and 4 to 12.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input, conv2d_weight

from training.work import Foreign

WIDE = 5  # side of the smallest kernel whose weights' gradient has no bf16 kernel


class Depthwise(nn.Conv2d):
    """Computes what timm's convolution does, whose padding is symmetric or, with a stride, as TensorFlow's SAME."""

    @classmethod
    def like(cls, conv: nn.Conv2d) -> Depthwise:
        """A convolution of the same weights."""
        c, k, s = conv.in_channels, conv.kernel_size, conv.stride
        ours = cls(c, c, k, s, conv.padding, groups=c)  # type: ignore[arg-type]
        ours.weight, ours.bias = conv.weight, conv.bias
        return ours.train(conv.training)

    def forward(self, x: Tensor) -> Tensor:
        """n c h w → n c h/stride w/stride."""
        (k, _), (s, _) = self.kernel_size, self.stride
        over = [max((-(-side // s) - 1) * s + k - side, 0) for side in x.shape[:1:-1]]
        x = F.pad(x, [part for both in over for part in (both // 2, both - both // 2)])
        if x.device.type == "cpu" and x.dtype == torch.bfloat16:
            y: Tensor = _Convolve.apply(x, self.weight, self.bias, s)
            return y
        return F.conv2d(x, self.weight, self.bias, s, groups=self.groups)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        (x, weight), (grad,) = ctx.saved_tensors, grads
        how = {"stride": ctx.stride, "groups": len(weight)}
        strided, wide = ctx.stride > 1, weight.shape[2] >= WIDE
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            k, g = (t.float() if strided else t for t in (weight, grad))
            for_x = conv2d_input(x.shape, k, g, **how).to(x.dtype)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1]:
            inner, g = (t.float() if wide else t for t in (x, grad))
            for_weight = conv2d_weight(inner, weight.shape, g, **how).to(x.dtype)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[2]:
            for_bias = grad.sum((0, 2, 3))
        return for_x, for_weight, for_bias, None


def swift(tower: Foreign) -> Foreign:
    """Replace those convolutions of a tower, in place, that a CPU has no bf16 kernel for."""
    for name, conv in list(tower.named_modules()):
        if not isinstance(conv, nn.Conv2d) or conv.groups == 1:
            continue
        if conv.stride != (1, 1) or conv.kernel_size[0] >= WIDE:
            parent, _, last = name.rpartition(".")
            setattr(tower.get_submodule(parent), last, Depthwise.like(conv))
    return tower
