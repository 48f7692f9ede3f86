"""Zero-shot classification agrees with open_clip's own usage on the same weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from conftest import TINY_CLIP
from PIL import Image
from safetensors.torch import save_file

from vqclip.base.errors import UsageError
from vqclip.guidance.interfaces import Perceptor
from vqclip.media.opening import MOST_SLENDER, without_excess
from vqclip.retrieval.records import Classified, Skipped
from vqclip.retrieval.zero_shot import probabilities
from vqclip.session import Session

LABELS = ["cat", "dog", "red apple"]
TEMPLATES = ["a picture of a {}", "{}", "many {}s"]


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Files of several forms and kinds."""
    chance = np.random.default_rng(0)
    paths = [tmp_path / name for name in ("square.png", "wide.jpg", "tall.webp", "small.bmp")]
    for path, (height, width) in zip(paths, ((16, 16), (40, 97), (61, 20), (7, 9)), strict=True):
        Image.fromarray(chance.integers(0, 255, (height, width, 3), np.uint8)).save(path)
    return paths


def of_open_clip(folder: Path, images: list[Path], labels: list[str], templates: list[str]) -> np.ndarray:
    """Probabilities (n m) as open_clip's README computes them."""
    name = f"local-dir:{folder}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    model.eval()
    with torch.no_grad():
        classes = open_clip.build_zero_shot_classifier(model, tokenizer, labels, templates)
        seen = model.encode_image(
            torch.stack([preprocess(Image.open(path)) for path in images]), normalize=True
        )
        logits = model.logit_scale.exp() * seen @ classes
        if model.logit_bias is not None:
            return (logits + model.logit_bias).sigmoid().numpy()
        return logits.softmax(-1).numpy()


def of_vqclip(folders: list[Path], images: list[Path], labels: list[str], templates: list[str]) -> np.ndarray:
    names = [str(folder) for folder in folders]
    found = Session("cpu").retrieval.classify(images, labels, templates=templates, models=names)
    return np.array(
        [[dict(one.labels)[label] for label in labels] for one in found if isinstance(one, Classified)]
    )


def with_bias(folder: Path, source: Path) -> Path:
    """The same CLIP with SigLIP's bias."""
    shutil.copytree(source, folder)
    settings = json.loads((folder / "open_clip_config.json").read_text())
    settings["model_cfg"] |= {"init_logit_scale": np.log(10), "init_logit_bias": -2.0}
    settings["preprocess_cfg"] |= {"resize_mode": "squash", "interpolation": "bicubic"}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    torch.manual_seed(3)
    model = open_clip.CLIP(**TINY_CLIP, init_logit_scale=np.log(10), init_logit_bias=-2.0)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def test_probabilities_are_those_of_open_clip(tiny_clip: Path, images: list[Path]) -> None:
    found = of_vqclip([tiny_clip], images, LABELS, TEMPLATES)
    np.testing.assert_allclose(found, of_open_clip(tiny_clip, images, LABELS, TEMPLATES), atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_bias_gives_each_label_a_probability(tiny_clip: Path, images: list[Path], tmp_path: Path) -> None:
    """As in SigLIP, whose pictures are squashed."""
    folder = with_bias(tmp_path / "siglip", tiny_clip)
    found = of_vqclip([folder], images, LABELS, TEMPLATES)
    np.testing.assert_allclose(found, of_open_clip(folder, images, LABELS, TEMPLATES), atol=1e-5)
    assert np.abs(found.sum(1) - 1).min() > 1e-2


def test_models_are_averaged(tiny_clip: Path, other_clip: Path, images: list[Path]) -> None:
    both = of_vqclip([tiny_clip, other_clip], images, LABELS, TEMPLATES)
    each = [of_vqclip([folder], images, LABELS, TEMPLATES) for folder in (tiny_clip, other_clip)]
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)


def test_a_broken_file_is_passed_by_in_its_place(tiny_clip: Path, images: list[Path]) -> None:
    images[1].write_bytes(images[1].read_bytes()[:100])
    found = list(Session("cpu").retrieval.classify(images, LABELS, models=[str(tiny_clip)]))
    assert [type(one) for one in found] == [Classified, Skipped, Classified, Classified]
    assert [one.path for one in found] == images
    assert isinstance(found[1], Skipped)
    assert str(images[1]) in found[1].cause


def test_a_label_is_a_plain_text(tiny_clip: Path, images: list[Path]) -> None:
    """Braces in a label, or attributes in a template, are not expanded."""
    labels = ["{0.__class__}", "{}"]
    texts = Session("cpu").retrieval.classify(images[:1], labels, templates=["{}"], models=[str(tiny_clip)])
    assert {label for one in texts if isinstance(one, Classified) for label, _ in one.labels} == set(labels)


@pytest.mark.parametrize(
    ("labels", "templates", "cause"),
    [
        (["cat"], ["{}"], "two labels"),
        (["cat", "cat"], ["{}"], "given twice"),
        (["cat", "dog"], ["a cat"], "has no {}"),
    ],
)
def test_bad_choices_are_refused(labels: list[str], templates: list[str], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        Session("cpu").retrieval.classify([], labels, templates=templates)


def test_a_perceptor_without_a_temperature_is_refused() -> None:
    class Plain(Perceptor):
        name = "plain"

        def embed_crops(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels

    with pytest.raises(UsageError, match="plain has no temperature"):
        probabilities(Plain(), np.ones((1, 2)), np.ones((2, 2)))


def test_a_long_strip_keeps_its_middle() -> None:
    strip = Image.new("RGB", (3, 10 * 3 * MOST_SLENDER), "red")
    strip.paste("blue", (0, strip.height // 2 - 5, 3, strip.height // 2 + 5))
    cut = without_excess(strip)
    assert cut.size == (3, 3 * MOST_SLENDER)
    assert cut.getpixel((1, cut.height // 2)) == (0, 0, 255)
    assert without_excess(cut) is cut
