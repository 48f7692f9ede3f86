"""VQGANs in the layouts of others load as the networks that their makers' own code runs."""

import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
import torch
import torch.nn.functional as F
from conftest import random_vqgan
from safetensors.torch import save_file
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.models.folding import freeze
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_configs import infer
from vqclip.models.vqgan_loading import load_vqgan, read_vqgan

WIDE = Architecture(  # as narrow as 32 groups allow: files without a description are taken to have that many
    ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(16,), resolution=32,
    z_channels=6, embed_dim=5, n_embed=16,
)  # fmt: skip
DIFFUSERS = {
    "a port of taming's": {"down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
                           "up_block_types": ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"], "latent_channels": 8},
    "latent-diffusion's": {"latent_channels": 3, "num_vq_embeddings": 20},
    "Kandinsky's movq": {"down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
                         "up_block_types": ["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
                         "latent_channels": 4, "vq_embed_dim": 4, "norm_type": "spatial"},
    "aMUSEd's": {"latent_channels": 6, "mid_block_add_attention": False, "lookup_from_codebook": True,
                 "force_upcast": True},
    "vq-diffusion's": {"latent_channels": 8, "vq_embed_dim": 4},
}  # fmt: skip
SMALL = {
    "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2,
    "block_out_channels": [32, 64], "layers_per_block": 1, "num_vq_embeddings": 16,
}  # fmt: skip


def diffusers_model(name: str) -> Any:
    from diffusers import VQModel  # noqa: PLC0415  # takes seconds

    torch.manual_seed(1)
    model = VQModel(**(SMALL | DIFFUSERS[name])).eval()
    for key, value in model.state_dict().items():
        if "norm" in key:  # fresh normalisations do nothing, and would hide a mistake
            value.normal_(1.0 if key.endswith("weight") else 0.0, 0.3)
    with torch.no_grad():  # codes among what is encoded, so that several are chosen
        cells = model.encode(torch.rand(1, 3, 32, 32) * 2 - 1).latents.flatten(2)[0].T
        codes = model.quantize.embedding.weight
        codes.copy_(cells[torch.arange(len(codes)) * 7 % len(cells)])
    return model


@torch.no_grad()
def assert_agrees(ours: VQGAN, theirs: Any) -> None:
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    encoding = ours.encode(images)
    torch.testing.assert_close(encoding, theirs.encode(images).latents, atol=1e-5, rtol=1e-4)
    _, _, (_, _, chosen) = theirs.quantize(encoding)
    codes = ours.codes(encoding)
    assert torch.equal(codes.flatten(), chosen.flatten())
    assert len(codes.unique()) > 1
    latent = ours.lookup(codes)
    shape = {"shape": (2, *latent.shape[2:], latent.shape[1])} if theirs.config.lookup_from_codebook else {}
    painted = theirs.decode(codes if shape else latent, force_not_quantize=True, **shape).sample
    torch.testing.assert_close(ours.decode(latent), painted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", DIFFUSERS)
def test_diffusers(tmp_path: Path, name: str) -> None:
    """As diffusers saves it, with and without its config.json."""
    theirs = diffusers_model(name)
    theirs.save_pretrained(tmp_path)
    by_config = load_vqgan(str(tmp_path))
    assert_agrees(by_config, theirs)
    (tmp_path / "config.json").unlink()
    by_shapes = load_vqgan(str(tmp_path))
    assert by_shapes.architecture.spatial_norm == by_config.architecture.spatial_norm
    assert_agrees(by_shapes, theirs)


def test_diffusers_of_before_it_renamed_its_attention(tmp_path: Path) -> None:
    theirs = diffusers_model("a port of taming's")
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    tensors = theirs.state_dict()
    for now, then in old.items():
        tensors = {key.replace(now, then): value for key, value in tensors.items()}
    torch.save(OrderedDict(tensors), tmp_path / "diffusion_pytorch_model.bin")
    assert_agrees(load_vqgan(str(tmp_path)), theirs)


def to_llamagen(key: str, levels: int) -> str:
    for ours, theirs in (("mid.block_1.", "mid.0."), ("mid.attn_1.", "mid.1."), ("mid.block_2.", "mid.2."),
                         (".block.", ".res."), ("encoder.down.", "encoder.conv_blocks.")):  # fmt: skip
        key = key.replace(ours, theirs)
    for level in range(levels):
        key = key.replace(f"decoder.up.{level}.", f"decoder.conv_blocks_{levels - 1 - level}.")
    return key.replace("conv_blocks_", "conv_blocks.")


def test_llamagen(tmp_path: Path) -> None:
    """Attention at the lowest level only; cells and codes are compared at length 1."""
    model = random_vqgan(WIDE)
    raw = model.codebook.clone()
    tensors = {to_llamagen(key, 2): value for key, value in model.state_dict().items()}
    torch.save(
        {"model": tensors | {"quantize.codebook_used": torch.zeros(9)}, "steps": 3}, tmp_path / "vq.pt"
    )
    loaded = load_vqgan(str(tmp_path / "vq.pt"))
    assert replace(loaded.architecture, resolution=32, attn_resolutions=(16,)) == WIDE
    torch.testing.assert_close(loaded.codebook, F.normalize(raw, dim=-1))
    cells = torch.randn(1, 5, 3, 4)
    similar = torch.einsum("kd,ndyx->nkyx", F.normalize(raw, dim=-1), F.normalize(cells, dim=1))
    assert torch.equal(loaded.codes(cells), similar.argmax(1))
    z = torch.randn(1, 5, 4, 4)
    torch.testing.assert_close(loaded.decode(z), model.decode(z))


def to_flax(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """vqgan-jax's tree: lists as block_0, convolutions as (height width in out)."""
    tree: dict[str, Any] = {}
    for key, value in tensors.items():
        words: list[str] = []
        for word in key.split("."):
            if word.isdigit():
                words[-1] += f"_{word}"
            else:
                words.append(word)
        if key == "quantize.embedding.weight":
            words[-1] = "embedding"
        elif words[-1] == "weight":
            words[-1] = "kernel" if value.ndim == 4 else "scale"
        node = tree
        for word in words[:-1]:
            node = node.setdefault(word, {})
        node[words[-1]] = (value.permute(2, 3, 1, 0) if value.ndim == 4 else value).contiguous()
    return tree


def pack(tree: Any) -> bytes:
    def array(value: Tensor) -> Any:
        inner = (list(value.shape), str(value.dtype).removeprefix("torch."), value.numpy().tobytes())
        return msgpack.ExtType(1, msgpack.packb(inner, use_bin_type=True))

    return bytes(msgpack.packb(tree, default=array))


def test_flax(tmp_path: Path) -> None:
    """DALL·E mini's: the same network, and not transposed the wrong way although all its sides agree."""
    model = random_vqgan(WIDE)
    (tmp_path / "flax_model.msgpack").write_bytes(pack(to_flax(model.state_dict())))
    (tmp_path / "config.json").write_text(
        '{"ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [16], "resolution": 32,'
        '"z_channels": 6, "embed_dim": 5, "n_embed": 16, "double_z": false}'
    )
    loaded = load_vqgan(str(tmp_path))
    assert loaded.architecture == WIDE
    theirs = freeze(model).state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize("reverse", [False, True])
def test_min_dalle(tmp_path: Path, reverse: bool) -> None:
    """A decoder alone, its levels counted from either end; it paints, and says why it can't read pictures."""
    model = random_vqgan(WIDE)
    tensors = {
        key.replace("quantize.", ""): value
        for key, value in model.state_dict().items()
        if key.startswith(("decoder.", "post_quant_conv.", "quantize."))
    }
    if reverse:
        swap = {"decoder.up.0.": "decoder.up.1.", "decoder.up.1.": "decoder.up.0."}
        tensors = {swap.get(key[:13], key[:13]) + key[13:]: value for key, value in tensors.items()}
    torch.save(tensors, tmp_path / "detoker.pt")
    loaded = load_vqgan(str(tmp_path / "detoker.pt"))
    z = torch.randn(1, 5, 4, 4)
    torch.testing.assert_close(loaded.decode(z), 2 * model.decode(z) - 1, atol=1e-5, rtol=1e-5)
    with pytest.raises(WeightsError, match="reads no images"):
        loaded.encode(torch.zeros(1, 3, 8, 8))


def test_movqgan_as_its_makers_keep_it(tmp_path: Path) -> None:
    """A bare state dict in taming's spelling with spatial norms, and EMA twins beside it."""
    theirs = diffusers_model("Kandinsky's movq")
    theirs.save_pretrained(tmp_path / "port")
    _, tensors = read_vqgan(tmp_path / "port/diffusion_pytorch_model.safetensors")
    torch.save(
        OrderedDict({**tensors, "ema_decoder.conv_inweight": torch.ones(1)}), tmp_path / "movqgan.ckpt"
    )
    assert_agrees(load_vqgan(str(tmp_path / "movqgan.ckpt")), theirs)


def test_images_in_0_to_1_are_shown_in_their_whole_range() -> None:
    model, plain = random_vqgan(replace(WIDE, lowest=0.0)), random_vqgan(WIDE)
    z, image = torch.randn(1, 5, 4, 4), torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(model.decode(z), 2 * plain.decode(z) - 1)
    torch.testing.assert_close(model.encode(2 * image - 1), plain.encode(image))
    with pytest.raises(ValueError, match="black"):
        replace(WIDE, lowest=0.5)


VARIANTS = {
    "taming": WIDE,
    "gumbel": replace(WIDE, quantizer="gumbel"),
    "vq-f4-noattn": replace(WIDE, attn_resolutions=(), mid_attention=False, z_channels=3, embed_dim=3),
    "vq-f8": replace(WIDE, ch_mult=(1, 2, 2), attn_resolutions=(8,)),
    "movqgan": replace(WIDE, spatial_norm=True),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_shapes_tell_the_architecture(tmp_path: Path, name: str) -> None:
    """Every field that leaves a trace in the tensors, and the network runs alike."""
    model = random_vqgan(VARIANTS[name])
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    loaded = load_vqgan(str(tmp_path / "a.safetensors"))
    a, b = loaded.architecture, model.architecture
    levels = range(len(b.ch_mult))
    assert [a.attends(level) for level in levels] == [b.attends(level) for level in levels]
    assert replace(a, resolution=b.resolution, attn_resolutions=b.attn_resolutions) == b
    z = torch.randn(1, b.embed_dim, 4, 4)
    assert torch.equal(loaded.decode(z), freeze(model).decode(z))


@pytest.mark.parametrize(
    ("gone", "fragment"),
    [
        (lambda key: key == "quantize.embedding.weight", "lacks quantize.embedding.weight"),
        (lambda key: key.startswith("decoder."), "lacks decoder.up.0.block.0.conv1.weight"),
        (lambda key: key == "encoder.mid.block_1.conv1.bias", "lacks encoder.mid.block_1.conv1.bias"),
        (lambda key: key.startswith("post_quant"), "lacks post_quant_conv.bias, post_quant_conv.weight"),
    ],
)
def test_a_partial_file_without_a_description_says_what_it_lacks(
    tmp_path: Path, gone: Callable[[str], bool], fragment: str
) -> None:
    tensors = {key: value for key, value in random_vqgan(WIDE).state_dict().items() if not gone(key)}
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_vqgan(str(tmp_path / "a.safetensors"))
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {"two\nlines": torch.ones(1)},
        {},
        {"unet.conv.weight": torch.ones(3)},
        {"quantize.embedding.weight": torch.ones(())},
    ],
)
def test_something_else_is_refused_in_one_line(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match="is no"):
        infer(Path("a.pt"), tensors)


def test_a_key_of_two_lines_is_named_in_one() -> None:
    with pytest.raises(WeightsError) as caught:
        infer(Path("a.pt"), {"two\nlines": torch.ones(1)})
    assert "(it has two lines)" in str(caught.value)


def test_loading_needs_no_compiler(tmp_path: Path) -> None:
    """Drawing numbers for networks without storage imports sympy and triton, which takes longer than the load."""
    save_file(random_vqgan(WIDE).state_dict(), tmp_path / "a.safetensors")
    code = (
        "import sys; from vqclip.models.vqgan_loading import load_vqgan;"
        f"before = set(sys.modules); load_vqgan({str(tmp_path / 'a.safetensors')!r});"
        "print([name for name in ('sympy', 'triton') if name in sys.modules and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
