"""VGG networks (Simonyan & Zisserman, 2014, arXiv 1409.1556) from files in torchvision's layout.

`features.0.weight` is the first convolution's. A ReLU follows each convolution, after a batch norm where the file has
one. Where the next number is larger than these explain, 2 x 2 pixels are pooled into one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.weights.checkpoint import read_tensors

# Of the images of ImageNet, which torchvision's networks were trained with.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Layer:
    """A convolution with its batch norm folded in, and whether its result is pooled."""

    weight: Tensor
    bias: Tensor
    is_pooled: bool


class VGG:
    """Compute the features of images in each block of layers between two poolings."""

    def __init__(self, layers: list[Layer]):
        self._layers = {torch.device("cpu"): layers}

    def features(self, images: Tensor) -> list[Tensor]:
        """Compute each block's last features (n d y x) of images (n 3 h w) in [0, 1], differentiably."""
        blocks: list[Tensor] = []
        x = torch.stack([(images[:, c] - MEAN[c]) / STD[c] for c in range(3)], 1)
        layers = self._at(images.device)
        for layer in layers:
            x = F.conv2d(x, layer.weight, layer.bias, padding="same").relu()
            if layer.is_pooled or layer is layers[-1]:
                blocks.append(x)
            if layer.is_pooled and min(x.shape[2:]) > 1:
                x = F.avg_pool2d(x, 2)  # averages, not maxima: Gatys et al. found their gradients smoother
        return blocks

    def _at(self, device: torch.device) -> list[Layer]:
        if device not in self._layers:
            given = self._layers[torch.device("cpu")]
            self._layers[device] = [Layer(x.weight.to(device), x.bias.to(device), x.is_pooled) for x in given]
        return self._layers[device]


def load_vgg(path: Path) -> VGG:
    """Read a network's convolutions, whatever it was made to recognise; raises WeightsError."""
    layers = list(_layers(read_tensors(path)))
    if not layers or layers[0].weight.shape[1] != 3:
        raise WeightsError(f"{path} holds no VGG: it lacks features.0.weight of three channels")
    return VGG(layers)


def _layers(tensors: Mapping[str, Tensor]) -> Iterator[Layer]:
    found = {
        int(match[1]): tensor.float()
        for key, tensor in tensors.items()
        if (match := re.fullmatch(r"(?:.*\.)?features\.(\d+)\.weight", key)) and tensor.ndim == 4
    }
    biases = {
        (int(match[1]), match[2]): tensor.float()
        for key, tensor in tensors.items()
        if (match := re.fullmatch(r"(?:.*\.)?features\.(\d+)\.(weight|bias|running_mean|running_var)", key))
        and tensor.ndim == 1
    }
    numbers = sorted(found)
    for number, following in zip(numbers, [*numbers[1:], None], strict=False):
        weight, bias = (
            found[number],
            biases.get((number, "bias"), found[number].new_zeros(len(found[number]))),
        )
        has_norm = (number + 1, "running_mean") in biases
        if has_norm:
            scale, shift, mean, variance = (
                biases[number + 1, name] for name in ("weight", "bias", "running_mean", "running_var")
            )
            factor = scale / (variance + 1e-5).sqrt()
            weight, bias = weight * factor.view(-1, 1, 1, 1), (bias - mean) * factor + shift
        is_pooled = following is not None and following - number > 2 + has_norm
        yield Layer(weight, bias, is_pooled)
