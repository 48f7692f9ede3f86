"""Image towers that are rewritten for speed see what open_clip's see."""

import copy
from typing import Any

import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqclip.models import frozen_layers
from vqclip.models.clip_speedups import PatchEmbedLinear, Same, SelfAttention, speed_up_tower
from vqclip.models.cpu_kernels import FEW, attend
from vqclip.models.kernels import ON_CPU, PUBLIC, Kernels

VISION: dict[str, Any] = {"image_size": 24, "layers": 2, "width": 32, "patch_size": 8, "head_width": 8}
KERNELS = pytest.mark.parametrize("kernels", [ON_CPU, PUBLIC], ids=["on a CPU", "public"])
TOWERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quickgelu": {"quick_gelu": True},
    "attentional pool": {"attentional_pool": True, "attn_pooler_queries": 3, "attn_pooler_heads": 4},
    "mean of tokens": {"pool_type": "avg", "final_ln_after_pool": True},
}


def tower(name: str) -> nn.Module:
    settings = dict(TOWERS[name])
    quick = settings.pop("quick_gelu", False)
    text = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    torch.manual_seed(0)
    model = open_clip.CLIP(16, VISION | settings, text, quick_gelu=quick)
    for parameter in model.visual.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.visual.eval().requires_grad_(False)


def seen(visual: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    features = visual(pixels)
    return features, torch.autograd.grad(features.square().sum(), pixels)[0]


@KERNELS
@pytest.mark.parametrize("name", TOWERS)
def test_values_and_gradients_stay(name: str, kernels: Kernels) -> None:
    original = tower(name)
    hasty = copy.deepcopy(original)
    speed_up_tower(hasty, kernels)
    pixels = torch.rand(3, 3, 24, 24, requires_grad=True)
    for ours, theirs in zip(seen(hasty, pixels), seen(original, pixels), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())
    kinds = {type(module) for module in hasty.modules()}
    assert {SelfAttention, PatchEmbedLinear if kernels.patches else frozen_layers.Conv2d} <= kinds
    assert open_clip.transformer.QuickGELU not in kinds
    assert hasty.state_dict().keys() == original.state_dict().keys()


@pytest.mark.parametrize("tokens", [3, FEW * 8, FEW * 8 + 1])
def test_attention_is_torchs_own(tokens: int) -> None:
    """Written out or not, in value and gradient."""
    torch.manual_seed(0)
    qkv = [torch.randn(2, 3, tokens, 8, requires_grad=True) for _ in range(3)]
    ours, theirs = (attention(*qkv) for attention in (attend, F.scaled_dot_product_attention))
    torch.testing.assert_close(ours, theirs)
    weights = torch.rand_like(ours)
    torch.testing.assert_close(*(torch.autograd.grad(each, qkv, weights) for each in (ours, theirs)))


@KERNELS
@pytest.mark.parametrize("name", ["convnext_atto", "tf_efficientnet_lite0", "mobilenetv3_small_050"])
def test_towers_of_other_makes_stay_right(name: str, kernels: Kernels) -> None:
    torch.manual_seed(0)
    original = timm.create_model(name, num_classes=4).eval().requires_grad_(False)
    hasty = copy.deepcopy(original)
    speed_up_tower(hasty, kernels)
    pixels = torch.rand(1, 3, 37, 45, requires_grad=True)
    torch.testing.assert_close(seen(hasty, pixels), seen(original, pixels), rtol=1e-3, atol=1e-5)
    assert {type(module) for module in hasty.modules()} & {PatchEmbedLinear, frozen_layers.Conv2d, Same}
