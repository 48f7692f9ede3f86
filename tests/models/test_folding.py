"""Folding normalisations into convolutions changes no function, and leaves none behind."""

import copy

import open_clip
import pytest
import timm
import torch
from conftest import random_vqgan
from torch import nn

from vqclip.models.folding import fold_batch_norms, freeze
from vqclip.models.frozen_layers import UpsampleConv


def towers() -> dict[str, nn.Module]:
    """A timm tower whose normalisations carry activations, a CLIP ResNet, and a network with nothing to fold."""
    resnet = open_clip.modified_resnet.ModifiedResNet(
        [1, 1, 1, 1], output_dim=8, heads=2, image_size=32, width=8
    )
    return {
        "timm": timm.create_model("tf_efficientnet_lite0", num_classes=8),
        "resnet": resnet,
        "plain": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten()),
    }


@pytest.mark.parametrize(("name", "left"), [("timm", 0), ("resnet", 0), ("plain", 1)])
def test_the_function_stays(name: str, left: int) -> None:
    torch.manual_seed(0)
    network = towers()[name].eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before = network(x)
        after = fold_batch_norms(copy.deepcopy(network), x[:1])(x)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4 * float(before.abs().max()))
    folded = fold_batch_norms(network, x[:1])
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == left
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_a_frozen_vqgan_paints_the_same() -> None:
    vqgan = random_vqgan()
    z = torch.randn(1, vqgan.architecture.embed_dim, 6, 4)
    before = vqgan.decode(z)
    torch.testing.assert_close(freeze(vqgan).decode(z), before, rtol=1e-4, atol=1e-5)
    assert any(isinstance(module, UpsampleConv) for module in vqgan.modules())
