"""The VQGAN agrees with diffusers' VQModel on the same random weights, and passes gradients."""

import re
from typing import Any

import pytest
import torch
from conftest import TINY, random_vqgan
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vqclip.models.folding import freeze
from vqclip.models.quantizers import nearest
from vqclip.models.vqgan import VQGAN, Architecture

ARCHITECTURES = {
    "tiny": TINY,
    "attention at the lowest level": Architecture(
        ch=8, ch_mult=(1, 2, 2), num_res_blocks=2, attn_resolutions=(8,), resolution=32,
        z_channels=6, embed_dim=6, n_embed=24, norm_groups=4,
    ),
    "attention at two levels": Architecture(
        ch=8, ch_mult=(1, 1, 2), num_res_blocks=1, attn_resolutions=(16, 8), resolution=32,
        z_channels=4, embed_dim=3, n_embed=10, norm_groups=2,
    ),
    "no attention at all": Architecture(
        ch=4, ch_mult=(1, 3), num_res_blocks=3, attn_resolutions=(), resolution=64,
        z_channels=3, embed_dim=3, n_embed=7, norm_groups=4, mid_attention=False,
    ),
    "one level": Architecture(
        ch=8, ch_mult=(1,), num_res_blocks=1, attn_resolutions=(16,), resolution=16,
        z_channels=5, embed_dim=5, n_embed=9, norm_groups=8,
    ),
}  # fmt: skip


def to_diffusers(key: str, levels: int) -> str:
    """Their spelling of one of our keys: their decoder counts its levels from the lowest resolution."""
    key = re.sub(r"decoder\.up\.(\d+)", lambda m: f"decoder.up_blocks.{levels - 1 - int(m[1])}", key)
    key = re.sub(r"\.mid\.block_(\d)", lambda m: f".mid_block.resnets.{int(m[1]) - 1}", key)
    for ours, theirs in (
        ("encoder.down.", "encoder.down_blocks."), (".block.", ".resnets."), (".attn.", ".attentions."),
        (".mid.attn_1.", ".mid_block.attentions.0."), ("sample.conv", "samplers.0.conv"),
        ("nin_shortcut", "conv_shortcut"), ("norm_out", "conv_norm_out"), (".proj_out.", ".to_out.0."),
        (".q.", ".to_q."), (".k.", ".to_k."), (".v.", ".to_v."),
    ):  # fmt: skip
        key = key.replace(ours, theirs)
    return re.sub(r"(attentions\.\d\.)norm\.", r"\1group_norm.", key)


def reference(ours: VQGAN) -> torch.nn.Module:
    from diffusers import VQModel  # noqa: PLC0415  # takes seconds

    a = ours.architecture
    kinds = ["Attn" if a.attends(level) else "" for level in range(len(a.ch_mult))]
    model = VQModel(
        down_block_types=[f"{kind}DownEncoderBlock2D" for kind in kinds],
        up_block_types=[f"{kind}UpDecoderBlock2D" for kind in reversed(kinds)],
        block_out_channels=[a.ch * m for m in a.ch_mult],
        layers_per_block=a.num_res_blocks,
        latent_channels=a.z_channels,
        num_vq_embeddings=a.n_embed,
        vq_embed_dim=a.embed_dim,
        norm_num_groups=a.norm_groups,
        mid_block_add_attention=a.mid_attention,
    )
    weights: dict[str, Tensor] = {}
    for key, value in ours.state_dict().items():
        name = to_diffusers(key, len(a.ch_mult))
        weights[name] = value[..., 0, 0] if "attentions" in name and value.ndim == 4 else value
    model.load_state_dict(weights)
    return model.eval()


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_agrees_with_diffusers(name: str) -> None:
    """Encoding, chosen codes and decoding, also of pictures that aren't square."""
    ours = random_vqgan(ARCHITECTURES[name], seed=3)
    theirs = reference(ours)
    images = torch.rand(2, 3, 32, 48) * 2 - 1

    encoding = ours.encode(images)
    torch.testing.assert_close(encoding, theirs.encode(images).latents, atol=1e-5, rtol=1e-4)

    codes = ours.codes(encoding)
    quantised, _, (_, _, chosen) = theirs.quantize(encoding)
    assert torch.equal(codes.flatten(), chosen.flatten())
    torch.testing.assert_close(ours.lookup(codes), quantised)

    painted = theirs.decode(encoding).sample
    torch.testing.assert_close(ours.decode(ours.lookup(codes)), painted, atol=1e-5, rtol=1e-4)
    assert len(codes.unique()) > 1, "the comparison of codes needs more than one"


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_a_cell_is_factor_pixels_wide(name: str) -> None:
    architecture = ARCHITECTURES[name]
    model = random_vqgan(architecture)
    latents = model.encode(torch.zeros(1, 3, model.factor * 3, model.factor * 2))
    assert latents.shape == (1, architecture.embed_dim, 3, 2)
    assert model.decode(latents).shape == (1, 3, model.factor * 3, model.factor * 2)
    assert model.codebook.shape == (architecture.n_embed, architecture.embed_dim)


def test_the_nearest_code_is_the_nearest() -> None:
    z, codebook = torch.randn(2, 5, 3, 4), torch.randn(11, 5)
    every = (z[:, None] - codebook[None, :, :, None, None]).square().sum(2)  # n k y x
    assert torch.equal(nearest(z, codebook), every.argmin(1))


@torch.no_grad()
def test_codes_are_their_own_nearest() -> None:
    model = random_vqgan()
    codes = torch.randint(16, (1, 4, 6))
    assert torch.equal(nearest(model.lookup(codes), model.codebook), codes)


@torch.no_grad()
def test_gumbel_takes_the_highest_score_each_time_the_same() -> None:
    """taming samples here, so that no seed repeats an encoding."""
    model = random_vqgan(Architecture(**{**vars(TINY), "quantizer": "gumbel"}))
    h = torch.randn(1, 5, 4, 4)
    weight, bias = model.quantize.proj.weight[:, :, 0, 0], model.quantize.proj.bias
    scores = torch.einsum("kd,ndyx->nkyx", weight, h) + bias[:, None, None]
    assert torch.equal(model.codes(h), scores.argmax(1))
    assert torch.equal(model.codes(h), model.codes(h))
    assert torch.equal(model.lookup(model.codes(h))[0, :, 1, 2], model.codebook[model.codes(h)[0, 1, 2]])


def test_a_gradient_reaches_every_cell_of_the_latent() -> None:
    z = torch.randn(1, 5, 4, 4, requires_grad=True)
    random_vqgan().decode(z).square().sum().backward()
    assert z.grad is not None
    assert bool((z.grad != 0).all())
    assert bool(z.grad.isfinite().all())


class Largest(TorchDispatchMode):
    """The most numbers that any operation's result holds."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return made


@pytest.mark.parametrize("frozen", [True, False])
def test_no_attention_over_many_cells_writes_out_its_matrix(frozen: bool) -> None:
    vqgan = random_vqgan(TINY)
    if frozen:
        freeze(vqgan)
    with Largest() as largest:
        with torch.no_grad():
            encoding = vqgan.encode(torch.rand(1, 3, 160, 160))
        vqgan.decode(encoding.requires_grad_()).sum().backward()
    cells = encoding.shape[2] * encoding.shape[3]
    assert 0 < largest.numbers < cells**2 / 10
