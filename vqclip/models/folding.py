"""What a frozen network does in two operations and could do in one."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from vqclip.models.frozen_layers import UpsampleConv, equip
from vqclip.models.kernels import CPU, kernels_for
from vqclip.models.vqgan import VQGAN
from vqclip.models.vqgan_layers import Upsample


def freeze(vqgan: VQGAN, device: torch.device = CPU) -> VQGAN:
    """Make a VQGAN ready for rendering on a device, in place: frozen, its upsampling folded, with the kernels there."""
    vqgan.eval().requires_grad_(False)
    for level in vqgan.decoder.up:
        if isinstance(level.upsample, Upsample):
            level.upsample = UpsampleConv(level.upsample.conv)
    kernels = kernels_for(device)
    equip(vqgan, kernels)
    vqgan.decoder.to(memory_format=kernels.layout)
    return vqgan


@torch.no_grad()
def fold_batch_norms(network: Any, probe: Tensor) -> Any:
    """Fold, in place, each normalisation that reads a convolution's output into that convolution; returns the network.

    In eval mode batch normalisation is a scale and a shift: the convolution before it can do both.

    One forward pass of `probe` shows who reads whose output, so no layout has to be known. The network must be in
    eval mode; its function stays the same but for rounding.
    """
    made: dict[
        int, tuple[nn.Conv2d, Tensor]
    ] = {}  # by the tensor's identity; the tensor is kept so that it stays unique
    pairs: list[tuple[nn.Conv2d, Any]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made[id(output)] = (module, output)
        elif id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], module))

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in layers):
        return network  # most towers: the probe's pass takes longer than reading their weights
    hooks = [layer.register_forward_hook(note) for layer in layers]
    network(probe)
    for hook in hooks:
        hook.remove()
    for conv, norm in pairs:
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        _replace(network, norm, getattr(norm, "act", nn.Identity()))  # timm's norms carry their activation
    return network.requires_grad_(False)


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in network.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
