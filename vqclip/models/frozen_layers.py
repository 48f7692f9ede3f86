"""Layers that have learned all they will, and call the kernels that suit the device."""

import torch.nn.functional as F
from torch import Tensor, nn

from vqclip.models.kernels import PUBLIC, Kernels


def learns(module: nn.Module) -> bool:
    """Whether any parameter of a module wants a gradient."""
    return any(parameter.requires_grad for parameter in module.parameters())


def equip(network: nn.Module, kernels: Kernels) -> None:
    """Let all layers of a network that have a choice of kernels call these."""
    for module in network.modules():
        if hasattr(module, "kernels"):
            setattr(module, "kernels", kernels)  # noqa: B010  # a module's own annotations say what it has


class Conv2d(nn.Conv2d):
    """A convolution that keeps nothing for its backward pass once it is frozen."""

    kernels = PUBLIC

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if learns(self) else self.kernels.convolve(x, self)


class UpsampleConv(nn.ConvTranspose2d):
    """Doubles both sides, then convolves by 3x3, as one transposed convolution by 4x4: 16 products per cell, not 36."""

    kernels = PUBLIC

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
        return self.kernels.convolve(x, self)
