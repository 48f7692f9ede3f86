"""A codebook with codes that training never used paints as its living codes alone would."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import TINY, Tiny, describe, random_vqgan
from safetensors.torch import save_file
from torch import Tensor

from vqclip.guidance.drawers.vqgan import VQGANDrawer
from vqclip.models.quantizers import living
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_loading import load_vqgan
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render

LIVING, ALL = 16, 267  # 94 % are dead
CPU = torch.device("cpu")


def with_dead(model: VQGAN, seed: int = 0) -> tuple[VQGAN, Tensor]:
    """The same network with dead codes, as taming leaves them, among its own; and the places of its own."""
    generator = torch.Generator().manual_seed(seed)
    larger = VQGAN(replace(model.architecture, n_embed=ALL)).eval().requires_grad_(False)
    tensors = model.state_dict()
    own = torch.randperm(ALL, generator=generator)[:LIVING].sort().values
    for key, value in larger.state_dict().items():
        if key.endswith(("embedding.weight", "embed.weight")):
            value.copy_((2 * torch.rand(value.shape, generator=generator) - 1) / ALL)
            value[own] = tensors[key]
        elif "proj." in key:
            value.fill_(-9)
            value[own] = tensors[key]
        else:
            value.copy_(tensors[key])
    return larger, own


def write(folder: Path, model: VQGAN) -> Path:
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    target = "taming.models.vqgan." + ("GumbelVQ" if model.architecture.quantizer == "gumbel" else "VQModel")
    (folder / "model.yaml").write_text(yaml.safe_dump(describe(model.architecture, target)))
    return folder / "model.safetensors"


@pytest.fixture(params=["nearest", "gumbel"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """Files of a VQGAN whose codes all live, and of the same one among dead codes."""
    alone = random_vqgan(replace(TINY, quantizer=request.param))
    return write(tmp_path / "alone", alone), write(tmp_path / "crowd", with_dead(alone)[0])


@pytest.mark.parametrize("start", ["codes", "noise"])
def test_paints_the_same_pictures(pair: tuple[Path, Path], start: str, tiny: Tiny) -> None:
    """Pixels, losses (the pull to the start among them) and rates are the same to the last bit."""
    pulled = {"near_start": "0.3", "tv": "0.1", "near_zero": "0.1"}
    images, losses, units = [], [], []
    for file in pair:
        pipeline = Pipeline(tiny(vqgan=str(file), start=start, losses=pulled), CPU)
        painting = render(pipeline.config, pipeline)
        images.append(torch.as_tensor(list(painting.image.get_flattened_data())))
        frame = pipeline.film.frame(0)
        drawer = pipeline.objective(frame).drawer
        units.append((drawer.codebook_std, drawer.low.flatten().tolist(), drawer.high.flatten().tolist()))
        losses.append(painting.losses)
    assert torch.equal(*images)
    assert units[0] == units[1]
    assert losses[0] == losses[1]


def test_the_unit_would_shrink_with_dead_codes() -> None:
    """The test's codebook is one for which it matters: about four times, as of ImageNet's 16384 codes."""
    larger, _ = with_dead(random_vqgan())
    alone, crowd = (VQGANDrawer(model, 16, 16).codebook_std for model in (random_vqgan(), larger))
    assert alone / crowd > 3.5


def test_says_which_codes_live() -> None:
    larger, own = with_dead(random_vqgan())
    assert torch.equal(living(larger.codebook).nonzero().flatten(), own)
    assert torch.equal(living(larger.codebook.half()), living(larger.codebook))


ALIVE: dict[str, Any] = {
    "trained": torch.randn(64, 4),
    "of length one": torch.nn.functional.normalize(torch.randn(16384, 8), dim=1),
    "untrained": (2 * torch.rand(1024, 4) - 1) / 1024,
    "untrained but for one": torch.cat([torch.ones(1, 4), torch.zeros(99, 4)]),
}


@pytest.mark.parametrize("kind", ALIVE)
def test_all_codes_live_where_none_stands_out(kind: str) -> None:
    assert bool(living(ALIVE[kind]).all())


def test_codes_of_a_moving_average_die_at_zero() -> None:
    codebook = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    codebook[::2] *= 1e-5
    assert living(codebook).tolist() == [False, True] * 50


def test_the_mini_vqgan_is_left_as_it_is() -> None:
    model = load_vqgan("mini-vqgan")
    assert bool(living(model.codebook).all())
    assert model.architecture.n_embed == len(model.codebook)
    drawer = VQGANDrawer(model, 64, 64)
    assert drawer.codebook_std == float(model.codebook.float().std(0).mean())


def test_an_architecture_counts_what_is_kept(tmp_path: Path) -> None:
    file = write(tmp_path / "crowd", with_dead(random_vqgan())[0])
    loaded: Architecture = load_vqgan(str(file)).architecture
    assert loaded == TINY
