"""A VQGAN is the same model in whichever file its makers publish it, and a file that doesn't fit is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import TINY, describe, random_vqgan
from safetensors.torch import save_file
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.models.folding import freeze
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_configs import find_description, read_description
from vqclip.models.vqgan_loading import find_vqgan, load_vqgan


def write(path: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> Path:
    """Weights with their yaml beside them."""
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors, "epoch": 3, "optimizer_states": [{"state": {}}]}, path)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(description))
    return path


def assert_same(one: VQGAN, other: VQGAN) -> None:
    assert one.architecture == other.architecture
    theirs = freeze(other).state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in one.state_dict().items())


def net2net(description: dict[str, Any]) -> dict[str, Any]:
    """The yaml of a transformer over the codes, with the VQGAN's own inside."""
    params = {"transformer_config": {"target": "x", "params": {}}, "first_stage_config": description["model"]}
    return {"model": {"target": "taming.models.cond_transformer.Net2NetTransformer", "params": params}}


EXTRAS = {
    "loss.discriminator.main.0.weight": torch.ones(2), "loss.perceptual_loss.lin0.model.1.weight": torch.ones(2),
    "model_ema.decay": torch.ones(1), "quantize.used": torch.ones(3), "colorize": torch.ones(1),
}  # fmt: skip


class TestLoads:
    @pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt", "a.pt", "a.pth", "a.bin"])
    def test_a_vqgan_with_its_losses(self, tmp_path: Path, name: str) -> None:
        model = random_vqgan()
        path = write(tmp_path / name, model.state_dict() | EXTRAS, describe(TINY))
        assert_same(load_vqgan(str(path)), model)

    def test_a_folder_with_one_file(self, tmp_path: Path) -> None:
        model = random_vqgan()
        write(tmp_path / "a.ckpt", model.state_dict(), describe(TINY))
        assert_same(load_vqgan(str(tmp_path)), model)

    def test_the_first_stage_of_a_net2net_file(self, tmp_path: Path) -> None:
        model = random_vqgan()
        tensors = {f"first_stage_model.{key}": value for key, value in (model.state_dict() | EXTRAS).items()}
        others = {
            f"{part}.0.weight": torch.ones(2)
            for part in ("transformer.blocks", "cond_stage_model.x", "permuter.y")
        }
        path = write(tmp_path / "a.ckpt", tensors | others, net2net(describe(TINY)))
        assert_same(load_vqgan(str(path)), model)

    def test_a_gumbel_vqgan(self, tmp_path: Path) -> None:
        model = random_vqgan(Architecture(**{**vars(TINY), "quantizer": "gumbel"}))
        path = write(tmp_path / "a.ckpt", model.state_dict(), describe(TINY, "taming.models.vqgan.GumbelVQ"))
        assert_same(load_vqgan(str(path)), model)

    def test_a_vqgan_of_latent_diffusion_without_attention(self, tmp_path: Path) -> None:
        description = describe(TINY, "ldm.models.autoencoder.VQModelInterface")
        description["model"]["params"]["ddconfig"]["attn_type"] = "none"
        model = random_vqgan(Architecture(**{**vars(TINY), "mid_attention": False}))
        assert not any("attn" in key for key in model.state_dict())
        path = write(tmp_path / "a.ckpt", model.state_dict(), description)
        assert_same(load_vqgan(str(path)), model)

    def test_half_precision_as_single(self, tmp_path: Path) -> None:
        tensors = {key: value.half() for key, value in random_vqgan().state_dict().items()}
        model = load_vqgan(str(write(tmp_path / "a.safetensors", tensors, describe(TINY))))
        assert {value.dtype for value in model.state_dict().values()} == {torch.float32}

    def test_frozen_and_in_eval_mode(self, tiny_vqgan: Path) -> None:
        model = load_vqgan(str(tiny_vqgan))
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(WeightsError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


KEY = "decoder.conv_in.weight"


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda tensors: tensors.pop(KEY), f"lacks {KEY}"),
        (lambda tensors: tensors.update({"surprise.weight": torch.ones(1)}), "has unknown surprise.weight"),
        (lambda tensors: tensors.update({KEY: torch.ones(1, 2)}), f"has other shapes for {KEY}"),
        (lambda tensors: [tensors.pop(key) for key in list(tensors) if "encoder" in key], "more"),
        (lambda tensors: tensors.clear(), "lacks"),
    ],
)
def test_keys_that_do_not_fit_are_named(tmp_path: Path, change: Any, fragment: str) -> None:
    tensors = random_vqgan().state_dict()
    change(tensors)
    path = write(tmp_path / "a.safetensors", tensors, describe(TINY))
    message = refusal(load_vqgan, str(path))
    assert fragment in message
    assert "doesn't fit a.yaml" in message


def test_a_description_is_found_beside_the_weights_by_four_names(tmp_path: Path) -> None:
    weights = tmp_path / "last.ckpt"
    assert find_description(weights) is None
    for name in ("config.json", "config.yaml", "model.yaml", "last.yaml"):  # each nearer than the one before
        (tmp_path / name).touch()
        assert find_description(weights) == tmp_path / name


@pytest.mark.parametrize(
    "text",
    [
        "", "just words", "[1, 2]", "a: [", "[" * 5000,
        "model: 3", "model: {target: x}", "model: {target: x, params: {}}",
        "model: {target: x, params: {ddconfig: 3, embed_dim: 1, n_embed: 1}}",
        "model: !!python/object/apply:os.system ['touch hacked']",
        "model: {target: x, params: {embed_dim: 5, n_embed: big, ddconfig: {}}}",
    ],
)  # fmt: skip
def test_a_yaml_that_describes_no_vqgan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert "doesn't describe a VQGAN" in refusal(read_description, tmp_path / "a.yaml")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("double_z", True),
        ("ch", 0),
        ("ch_mult", []),
        ("norm_groups", 3),
        ("num_res_blocks", -1),
        ("ch", 10**7),
        ("num_res_blocks", 10**9),
        ("ch_mult", [1] * 1000),
    ],
)
def test_an_impossible_network_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    description = describe(TINY)
    description["model"]["params"]["ddconfig"][key] = value
    path = write(tmp_path / "a.safetensors", random_vqgan().state_dict(), description)
    refusal(load_vqgan, str(path))


def test_a_yaml_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    refusal(read_description, tmp_path / "a.yaml")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    assert "did you mean mini-vqgan?" in refusal(find_vqgan, "mini-vqgna")


def test_a_folder_without_a_single_file_of_weights_is_refused(tmp_path: Path) -> None:
    assert "holds 0 files of weights" in refusal(find_vqgan, str(tmp_path))
    (tmp_path / "a.ckpt").touch()
    (tmp_path / "b.ckpt").touch()
    assert "holds 2 files of weights" in refusal(find_vqgan, str(tmp_path))
