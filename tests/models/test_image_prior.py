"""The image prior: what it guesses of a text is a second target of the CLIP that it was made for, and of no other."""

from pathlib import Path

import pytest
import torch
from conftest import DEVICE, Tiny
from safetensors.torch import save_file

from vqclip.base.errors import ConfigError, WeightsError
from vqclip.config import prompt
from vqclip.config.neutral import counted
from vqclip.guidance.ops import unit
from vqclip.models.image_prior import ImagePrior, find_image_prior, load_image_prior
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.requirements.needs import requirements
from vqclip.weights import catalog

TEXT = "a red apple"


def saved(folder: Path, clip: str) -> ImagePrior:
    torch.manual_seed(2)
    prior = ImagePrior(16, 8, clip)
    save_file(prior.state_dict(), folder / "prior.safetensors", prior.to_note())
    return prior


def clip_of(tiny: Tiny) -> str:
    return Pipeline(tiny(), DEVICE)._embeddings[0].perceptor.name


def test_it_begins_with_the_move_from_texts_to_images() -> None:
    prior, (said, seen) = ImagePrior(16, 8, "some"), torch.randn(2, 16)
    prior.begin(said, seen)
    assert torch.allclose(prior(said[None]), unit(seen[None]), atol=1e-6)


def test_it_reads_what_it_wrote_and_refuses_other_files(tmp_path: Path) -> None:
    prior, texts = saved(tmp_path, "some"), unit(torch.randn(3, 16))
    assert torch.equal(load_image_prior(str(tmp_path / "prior.safetensors"))(texts), prior(texts))
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, message in (
        (str(tmp_path / "other.safetensors"), "no image prior"),
        ("nothing", "mini-image-prior-2"),
    ):
        with pytest.raises(WeightsError, match=message):
            load_image_prior(name)


def test_its_guess_is_a_target_beside_the_text(tiny: Tiny, tmp_path: Path) -> None:
    prior = saved(tmp_path, clip_of(tiny))
    config = tiny(prompts=[TEXT], texts={"image_prior": str(tmp_path / "prior.safetensors")})
    pipeline, line = Pipeline(config, DEVICE, cache=ModelCache(DEVICE)), prompt.parse(TEXT)[0]
    text = Pipeline(tiny(prompts=[TEXT]), DEVICE)._embeddings[0].of(line)
    both = pipeline._embeddings[0].of(line)
    assert torch.allclose(both, torch.cat([text, prior(text)]), atol=1e-6)
    assert torch.allclose(pipeline.embeddings(prior.clip).of(line), text, atol=1e-6)  # what starts read


def test_a_prior_of_another_clip_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    saved(tmp_path, "another")
    with pytest.raises(ConfigError, match=r"texts\.image_prior: .* another, which is none of the perceptors"):
        Pipeline(tiny(prompts=[TEXT], texts={"image_prior": str(tmp_path / "prior.safetensors")}), DEVICE)


def test_it_is_off_unless_it_is_named(tiny: Tiny) -> None:
    assert "image_prior" not in counted(tiny().texts)
    needs = requirements(tiny(texts={"image_prior": "mini-image-prior-2"}))
    assert ("image-prior", "mini-image-prior-2") in [(need.kind, need.name) for need in needs]


def test_the_one_that_ships_is_of_mini_clip() -> None:
    assert find_image_prior("mini-image-prior-2").stat().st_size == catalog.card("mini-image-prior-2").bytes
    assert load_image_prior("mini-image-prior-2").clip == "mini-clip-2"
