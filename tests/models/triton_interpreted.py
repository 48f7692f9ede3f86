"""Run Triton's kernels by its interpreter, and print as JSON how they compare with torch's. See test_triton_kernels."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqclip.base import device as devices
from vqclip.models import kernels, triton_kernels
from vqclip.models.folding import freeze
from vqclip.models.frozen_layers import equip
from vqclip.models.vqgan import VQGAN, Architecture

CPU = torch.device("cpu")
CASES = [((1, 32, 5, 7), 8), ((2, 24, 12, 10), 8), ((1, 64, 36, 33), 32), ((1, 8, 1, 1), 2)]
Function = Callable[[Tensor], Tensor]


def random_norm(channels: int, groups: int, dtype: torch.dtype = torch.float32) -> nn.GroupNorm:
    norm = nn.GroupNorm(groups, channels, eps=1e-6).requires_grad_(False)
    nn.init.normal_(norm.weight, 1, 0.3)
    nn.init.normal_(norm.bias)
    return norm.to(dtype)


def differences(ours: Function, theirs: Function, x: Tensor, grad: Tensor) -> list[float]:
    """Of values and of gradients, as shares of the largest."""
    found = []
    for function in (ours, theirs):
        leaf = x.clone().requires_grad_()
        y = function(leaf)
        found.append((y.detach().double(), torch.autograd.grad(y, leaf, grad.to(y.dtype))[0].double()))
    return [float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(*found, strict=True)]


def agreement(shape: tuple[int, ...], groups: int, dtype: torch.dtype) -> list[float]:
    norm = random_norm(shape[1], groups, dtype)
    exact = [weights.double() for weights in (norm.weight, norm.bias)]
    x, grad = (torch.randn(shape) * 0.5 + 30).to(dtype), torch.randn(shape).to(dtype)
    return differences(
        lambda x: triton_kernels.norm_silu(x, norm),
        lambda x: F.silu(F.group_norm(x.double(), groups, *exact, norm.eps)),
        x,
        grad,
    )


def decoder() -> list[float]:
    """The image and the latent's gradient of a small decoder, by Triton's kernels and by the public ones."""
    sizes = {"ch": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (128,), "norm_groups": 4}
    vqgan = freeze(VQGAN(Architecture(**sizes, z_channels=8, embed_dim=8, n_embed=4)))
    fused = replace(kernels.PUBLIC, norm_silu=triton_kernels.norm_silu, layout=torch.channels_last)

    def decode(chosen: kernels.Kernels, z: Tensor) -> Tensor:
        equip(vqgan, chosen)
        vqgan.decoder.to(memory_format=chosen.layout)
        return vqgan.decode(z)

    z, grad = torch.randn(1, 8, 6, 5), torch.randn(1, 3, 12, 10)
    return differences(lambda z: decode(fused, z), lambda z: decode(kernels.PUBLIC, z), z, grad)


def fails(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    raise RuntimeError("no ptxas\nat line 1")


def choice() -> dict[str, object]:
    """What is chosen where Triton is asked for: ours; torch's, with a line, where ours are wrong or fail."""
    gpu = replace(devices.strengths(torch.device("meta")), triton=True)
    kernels.strengths = lambda device: gpu
    right = triton_kernels.norm_silu
    taken = kernels.kernels_for(CPU).norm_silu is right
    lines: list[str] = []
    kernels.log.addHandler(handler := logging.Handler())
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    wrong = lambda x, norm: right(x * 1.01, norm)  # noqa: E731
    for triton_kernels.norm_silu in (wrong, fails):
        kernels.with_triton.cache_clear()
        assert kernels.kernels_for(CPU) is kernels.PUBLIC
    return {
        "taken": taken,
        "lines": [line.rpartition(" by ")[0] + " by" if " by " in line else line for line in lines],
        "difference": kernels.difference(right, CPU),
        "difference of wrong ones": kernels.difference(wrong, CPU),
    }


def main() -> None:
    torch.manual_seed(0)
    triton_kernels.BLOCKS = 4  # so that small images have blocks of several tiles
    agree = {
        f"{shape} {dtype}": agreement(shape, groups, dtype)
        for shape, groups in CASES
        for dtype in (torch.float32, torch.bfloat16)
    }
    norm, x = random_norm(32, 8), torch.randn(2, 32, 12, 10)
    first, second = (triton_kernels.norm_silu(x, norm) for _ in range(2))
    print(
        json.dumps(
            {
                "agree": agree,
                "repeats": torch.equal(first, second),
                "channels_last": first.is_contiguous(memory_format=torch.channels_last),
                "decoder": decoder(),
                **choice(),
            }
        )
    )


if __name__ == "__main__":
    main()
