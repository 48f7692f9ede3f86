"""Frozen layers pass the gradient that autograd would have passed, and keep less for it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqclip.guidance.kept_bytes import kept_bytes
from vqclip.models.folding import freeze
from vqclip.models.frozen_layers import Conv2d, UpsampleConv, equip
from vqclip.models.kernels import ON_CPU, PUBLIC, Kernels
from vqclip.models.vqgan import VQGAN, Architecture

LAYOUTS = [torch.contiguous_format, torch.channels_last]
KERNELS = pytest.mark.parametrize("kernels", [ON_CPU, PUBLIC], ids=["on a CPU", "public"])


def pictures(
    layout: torch.memory_format = torch.contiguous_format, dtype: torch.dtype = torch.float32
) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 16, 12, 10).to(dtype, memory_format=layout).requires_grad_()


def random_norm(dtype: torch.dtype = torch.float32) -> nn.GroupNorm:
    norm = nn.GroupNorm(4, 16, eps=1e-6).requires_grad_(False)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm.to(dtype)


def agree(
    ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], x: Tensor, rtol: float
) -> None:
    """Values and gradients, to a share of the largest."""
    expected, got = theirs(x), ours(x)
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad(y, x, weights)[0] for y in (got, expected)]
    for a, b in ((got, expected), (gradients[0], gradients[1])):
        torch.testing.assert_close(a, b, rtol=0, atol=rtol * b.abs().max().item())


@KERNELS
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_norm_and_silu_agree_with_autograd(
    kernels: Kernels, layout: torch.memory_format, dtype: torch.dtype, rtol: float
) -> None:
    norm = random_norm(dtype)
    agree(lambda x: kernels.norm_silu(x, norm), lambda x: F.silu(norm(x)), pictures(layout, dtype), rtol)


@KERNELS
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(16, 6, 3, padding=1),
        nn.Conv2d(16, 6, 3, stride=2, groups=2, bias=False),
        nn.ConvTranspose2d(16, 6, 4, stride=2, padding=1),
    ],
)
def test_convolutions_agree_with_autograd(
    kernels: Kernels, layout: torch.memory_format, conv: nn.Conv2d | nn.ConvTranspose2d
) -> None:
    conv.requires_grad_(False)
    agree(lambda x: kernels.convolve(x, conv), conv, pictures(layout), 1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradient_of_strides_over_separate_channels_in_bf16(layout: torch.memory_format) -> None:
    conv = nn.Conv2d(16, 16, 3, stride=2, groups=16).requires_grad_(False).to(torch.bfloat16)
    agree(lambda x: ON_CPU.convolve(x, conv), conv, pictures(layout, torch.bfloat16), 1e-2)


def test_only_the_input_of_a_normalisation_is_kept() -> None:
    """Means and deviations aside; a convolution keeps nothing at all, and public functions the result as well."""
    norm, conv, x = random_norm(), Conv2d(16, 16, 3, padding=1).requires_grad_(False), pictures()
    size = x.numel() * x.element_size()
    for kernels, most in ((ON_CPU, 1), (PUBLIC, 2)):
        equip(conv, kernels)
        assert kept_bytes(conv, x, [conv]) == 0
        kept = kept_bytes(lambda x, k=kernels: conv(k.norm_silu(x, norm)), x, [norm, conv])
        assert size <= kept < (most + 0.1) * size


def test_a_convolution_that_learns_still_does() -> None:
    conv = Conv2d(16, 6, 3)
    conv(pictures()).sum().backward()
    assert conv.weight.grad is not None
    assert bool(conv.weight.grad.any())


def test_doubling_is_enlarging_and_convolving() -> None:
    conv = nn.Conv2d(16, 6, 3, padding=1).requires_grad_(False)
    agree(
        UpsampleConv(conv),
        lambda x: conv(F.interpolate(x, scale_factor=2.0, mode="nearest")),
        pictures(),
        1e-5,
    )


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_a_frozen_vqgan_paints_the_same(device: str) -> None:
    """With the kernels for a CPU, and with those for other devices."""
    architecture = Architecture(
        ch=8, ch_mult=(1, 2, 2), num_res_blocks=1, attn_resolutions=(8,), resolution=32,
        z_channels=6, embed_dim=5, n_embed=16, norm_groups=4,
    )  # fmt: skip
    torch.manual_seed(0)
    learning = VQGAN(architecture).eval()
    frozen = VQGAN(architecture)
    frozen.load_state_dict(learning.state_dict())
    freeze(frozen, torch.device(device))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    z = torch.randn(1, 5, 4, 6, requires_grad=True)
    agree(frozen.decode, learning.decode, z, 1e-4)


def test_off_the_cpu_channels_come_first_throughout_the_decoder() -> None:
    """Convolutions pass on the layout that they read, and what is looked up in the codebook has its channels last."""
    vqgan = freeze(VQGAN(Architecture(ch=32, attn_resolutions=(), n_embed=8)), torch.device("mps"))
    seen: list[bool] = []
    for module in vqgan.decoder.modules():
        if isinstance(module, Conv2d | UpsampleConv):
            module.register_forward_pre_hook(lambda _, given: seen.append(given[0].is_contiguous()))
    vqgan.decode(vqgan.lookup(torch.zeros(1, 2, 3, dtype=torch.long)))
    attention = 4  # reads tokens; its convolutions are by 1x1
    assert len(seen) > 30
    assert seen.count(False) <= attention
