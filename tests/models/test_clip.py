"""CLIPs: every way to name one, what is refused, and what a Perceptor owns."""

import contextlib
import copy
import logging
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from vqclip.base.errors import WeightsError
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.models import clip
from vqclip.models.clip import find_clip, load_clip, weights_file
from vqclip.models.vqgan_loading import SkipInit
from vqclip.weights import catalog

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("mini-clop", "did you mean mini-clip or mini-clip-2"),
        ("ViT-B-32/opnai", "did you mean ViT-B-32/openai"),
        ("", "there is no CLIP ''; write a name of the catalogue"),
        ("xyzzy", "write a name of the catalogue, open_clip's MODEL/TAG"),
        ("ViT-B-32/openai", "its weights aren't on this machine; add --pull"),
        ("ViT-B-23@weights.pt", "knows no architecture 'ViT-B-23'; did you mean"),
        ("ViT-B-32@nowhere.pt", "there is no file nowhere.pt"),
        ("hf-hub:nobody/nothing", "add --pull, or type: vqclip models pull hf-hub:nobody/nothing"),
    ],
)
def test_a_name_without_a_model_is_refused_in_one_line(name: str, fragment: str) -> None:
    with pytest.raises(WeightsError) as caught:
        find_clip(name)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_tower_alone_goes_with_the_text_tower_of_another_clip() -> None:
    alone, whole = (OpenCLIPPerceptor(name, CPU, torch.float32) for name in ("mini-clip", "mini-clip-2"))
    texts, crops = ["a red apple", "an owl"], torch.rand(2, 3, 128, 128)
    assert torch.equal(alone.embed_texts(texts), whole.embed_texts(texts))
    assert not torch.allclose(alone.embed_crops(crops), whole.embed_crops(crops), atol=0.01)
    assert weights_file("mini-clip") == catalog.card("mini-clip").path
    stored = load_file(weights_file("mini-clip"))
    model, _ = load_clip("mini-clip")
    projection = model.visual.state_dict()["head.proj.weight"]
    assert torch.equal(projection, stored["visual.head.proj.weight"].float())


@pytest.mark.parametrize("content", [{}, {"open_clip_config.json": "{"}, {"open_clip_config.json": "[]"}])
def test_a_folder_that_holds_no_clip_is_refused_in_one_line(tmp_path: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(WeightsError) as caught:
        load_clip(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_weights_that_are_missing_or_damaged_are_refused(tmp_path: Path, tiny_clip: Path) -> None:
    """open_clip by itself would go on with random ones."""
    (tmp_path / "open_clip_config.json").write_bytes((tiny_clip / "open_clip_config.json").read_bytes())
    with pytest.raises(WeightsError):
        load_clip(str(tmp_path))
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError):
        load_clip(str(tmp_path))


def test_an_architecture_with_a_file_of_weights_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MODEL@FILE, shown with a model config that open_clip is told of."""
    from conftest import TINY_CLIP  # noqa: PLC0415

    monkeypatch.setattr(
        open_clip.factory, "_MODEL_CONFIGS", {**open_clip.factory._MODEL_CONFIGS, "nano": TINY_CLIP}
    )
    model = open_clip.CLIP(**TINY_CLIP)
    save_file(model.state_dict(), tmp_path / "nano.safetensors")
    loaded, _ = load_clip(f"nano@{tmp_path}/nano.safetensors")
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_networks_weights_are_those_of_the_file_and_no_copies() -> None:
    """Unless they have to be of another kind: a half becomes a float."""
    given = {"weight": torch.rand(2, 3), "bias": torch.rand(2).half()}
    with SkipInit():
        layer = torch.nn.Linear(3, 2)
        layer.load_state_dict(given)
    assert layer.weight.data_ptr() == given["weight"].data_ptr()
    assert layer.bias.dtype == torch.float32
    assert torch.equal(layer.bias, given["bias"].float())


class TestPerceptor:
    def test_owns_its_size_normalisation_and_context(self, other_clip: Path) -> None:
        perceptor = OpenCLIPPerceptor(str(other_clip), CPU, torch.float32)
        assert (perceptor.size, perceptor.context) == (24, 12)
        assert perceptor.mean.flatten().tolist() == [0.5, 0.5, 0.5]
        assert perceptor.std.flatten().tolist() == [0.25, 0.25, 0.25]

    def test_embeds_as_open_clip_does(self, tiny_clip: Path) -> None:
        """Crops after its normalisation, texts after its tokens, both as unit vectors."""
        perceptor = OpenCLIPPerceptor(str(tiny_clip), CPU, torch.float32)
        model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip}")
        model.eval()
        pixels = torch.rand(3, 3, 16, 16)
        tokens = open_clip.get_tokenizer(f"local-dir:{tiny_clip}")(["a red apple", "b"])
        with torch.no_grad():
            crops = model.encode_image((pixels - 0.5) / 0.25, normalize=True)
            texts = model.encode_text(tokens, normalize=True)
        torch.testing.assert_close(perceptor.embed_crops(pixels), crops)
        torch.testing.assert_close(perceptor.embed_texts(["a red apple", "b"]), texts)

    def test_passes_gradients_to_every_pixel(self, tiny_clip: Path) -> None:
        pixels = torch.rand(2, 3, 16, 16, requires_grad=True)
        OpenCLIPPerceptor(str(tiny_clip), CPU, torch.float32).embed_crops(pixels)[:, 0].sum().backward()
        assert pixels.grad is not None
        assert bool((pixels.grad != 0).all())

    @pytest.mark.parametrize(("text", "tokens"), [("", 2), ("a", 3), ("a red apple", 5)])
    def test_counts_tokens_with_start_and_end(self, tiny_clip: Path, text: str, tokens: int) -> None:
        assert OpenCLIPPerceptor(str(tiny_clip), CPU, torch.float32).tokens(text) == tokens

    def test_has_no_text_tower_once_that_is_freed(self, tiny_clip: Path) -> None:
        perceptor = OpenCLIPPerceptor(str(tiny_clip), CPU, torch.float32)
        perceptor.forget_texts()
        with pytest.raises(RuntimeError, match="embed all texts before"):
            perceptor.embed_texts(["a"])
        assert perceptor.embed_crops(torch.rand(1, 3, 16, 16)).shape == (1, 16)


def test_without_pull_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("went to the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr(clip.open_clip, "download_pretrained", refuse)
    for name in ("ViT-B-32/openai", "ViT-B-16-SigLIP2/webli", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"):
        with pytest.raises(WeightsError, match="--pull"):
            load_clip(name)


TAGS = [
    (model, tag)
    for model, tag in open_clip.list_pretrained()
    if tag
    in {"openai", "laion2b_s34b_b79k", "laion2b_s32b_b82k", "laion400m_e32", "webli", "datacompdr", "dfndr2b"}
]


@pytest.mark.parametrize(("model", "tag"), TAGS, ids=["/".join(pair) for pair in TAGS])
def test_a_tag_is_loaded_as_it_was_trained(model: str, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """quickgelu for OpenAI's and not for LAION's, normalisation by 0.5 for SigLIP, none for MobileCLIP."""
    monkeypatch.setattr(clip, "_cached", lambda _: "weights.safetensors")
    source = find_clip(f"{model}/{tag}")
    trained, network = (
        open_clip.get_pretrained_cfg(model, tag),
        open_clip.get_model_config(source.architecture),
    )
    assert network is not None
    assert (source.quick_gelu or network.get("quick_gelu", False)) == trained.get("quick_gelu", False)
    assert dict(source.preprocess)["mean"] == trained["mean"]
    assert dict(source.preprocess)["std"] == trained["std"]
    if "SigLIP" in model:
        assert network["text_cfg"]["context_length"] == (16 if model == "ViT-SO400M-14-SigLIP" else 64)
        assert trained["mean"] == (0.5, 0.5, 0.5)


def test_openais_nine_and_the_other_families_are_among_the_tags() -> None:
    nine = {
        "RN50",
        "RN101",
        "RN50x4",
        "RN50x16",
        "RN50x64",
        "ViT-B-32",
        "ViT-B-16",
        "ViT-L-14",
        "ViT-L-14-336",
    }
    assert nine <= {model for model, tag in TAGS if tag == "openai"}
    assert {"ViT-B-16-SigLIP", "ViT-B-16-SigLIP2", "MobileCLIP-S1"} <= {model for model, _ in TAGS}


@pytest.mark.parametrize("quick", [True, False])
def test_quickgelu_changes_what_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool) -> None:
    """With the same weights a tag trained with quickgelu is another function, and the one that open_clip means."""
    from conftest import TINY_CLIP  # noqa: PLC0415

    configs = {**open_clip.factory._MODEL_CONFIGS, "nano": TINY_CLIP}
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", configs)
    trained = {
        "quick_gelu": quick,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "interpolation": "bicubic",
    }
    monkeypatch.setattr(clip.open_clip, "get_pretrained_cfg", lambda *_: trained)
    torch.manual_seed(0)
    theirs = open_clip.CLIP(**copy.deepcopy(TINY_CLIP), quick_gelu=quick).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    save_file(theirs.state_dict(), tmp_path / "w.safetensors")
    monkeypatch.setattr(clip, "_cached", lambda _: str(tmp_path / "w.safetensors"))
    perceptor = OpenCLIPPerceptor("nano/tag", CPU, torch.float32)
    pixels = torch.rand(2, 3, 16, 16)
    mean, std = (torch.tensor(trained[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        seen = theirs.encode_image((pixels - mean) / std, normalize=True)
    torch.testing.assert_close(perceptor.embed_crops(pixels), seen)


def test_loading_in_two_threads_leaves_the_loggers_as_they_were() -> None:
    """Each drops what open_clip logs for as long as it loads, however their ends are interleaved."""
    root = logging.getLogger()
    before = (root.level, list(root.filters))
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(clip._quiet())
        second.enter_context(clip._quiet())
        first.close()
    assert (root.level, list(root.filters)) == before
