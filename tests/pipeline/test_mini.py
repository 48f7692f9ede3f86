"""The models that ship with the program are the ones that it knows, and they paint."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import DEVICE

from vqclip.config import resolve as configs
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.models.clip import load_clip
from vqclip.models.vqgan_loading import load_vqgan
from vqclip.pipeline.events import Result, result
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.weights import catalog, store
from vqclip.weights.catalog import ModelCard

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("device")
CARDS = {name: card for name, card in catalog.cards().items() if card.ships}


def paint(prompt: str, **settings: Any) -> Result:
    small = {"prompts": [prompt], "seed": 7, "size": "64x64", "steps": 6, "precision": "float32"}
    strides = {"optimizer": {"learning_rate": "0.4 -> 0.1"}}  # long ones: six of the default's change no code
    config = configs.resolve(small | strides | settings)
    return result(render(config, Pipeline(config, DEVICE)))


@pytest.mark.parametrize("name", CARDS)
def test_the_files_are_those_of_the_catalogue(name: str) -> None:
    card: ModelCard = CARDS[name]
    assert store.verify(name) == card.path
    assert (card.path.stat().st_size, store.digest(card.path)) == (card.bytes, card.sha256)
    assert (card.path.parent / "README.md").is_file(), "a model comes with its card"


@pytest.mark.parametrize("name", ["draft", "standard", "fine"])
def test_every_quality_names_models_that_ship(name: str) -> None:
    config = configs.resolve(preset=name)
    assert {config.drawer.model, *(perceptor.model for perceptor in config.perceptors)} <= set(CARDS)


def test_the_mini_vqgan_renders_colours_that_it_is_shown() -> None:
    """A flat picture comes back in about its colour."""
    vqgan = load_vqgan("mini-vqgan")
    for colour in ((0.8, 0.1, 0.1), (0.1, 0.3, 0.8), (0.9, 0.9, 0.9)):
        image = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 64, 64)
        with torch.no_grad():
            back = (vqgan.decode(vqgan.lookup(vqgan.codes(vqgan.encode(image * 2 - 1)))) + 1) / 2
        assert (back - image).abs().mean().item() < 0.15


@pytest.mark.parametrize("name", ["mini-clip", "mini-clip-2"])
def test_the_mini_clips_know_the_colours_of_things(name: str) -> None:
    """Of a disc on white, as the drawings of their trainings are."""
    perceptor = OpenCLIPPerceptor(name, CPU, torch.float32)
    shades = {
        "red": (0.85, 0.1, 0.1), "green": (0.1, 0.7, 0.15), "blue": (0.1, 0.2, 0.85), "yellow": (0.95, 0.85, 0.1),
        "orange": (1, 0.55, 0.1), "black": (0, 0, 0), "brown": (0.45, 0.27, 0.13), "pink": (1, 0.6, 0.75),
    }  # fmt: skip
    middle = torch.linspace(-1, 1, perceptor.size)
    disc = (middle[:, None] ** 2 + middle**2 < 0.4).float()
    crops = torch.stack([1 - disc * (1 - torch.tensor(shade).view(3, 1, 1)) for shade in shades.values()])
    with torch.no_grad():
        texts = perceptor.embed_texts([f"a {colour} circle on a white background" for colour in shades])
        likeness = perceptor.embed_crops(crops) @ texts.T
    assert likeness.argmax(1).tolist() == list(range(len(shades)))


def test_they_paint_the_same_picture_twice_and_another_for_another_wish() -> None:
    apple, again, butterfly = paint("a red apple"), paint("a red apple"), paint("a blue butterfly")
    assert apple.image.size == (64, 64)
    assert apple.image.tobytes() == again.image.tobytes()
    assert apple.image.tobytes() != butterfly.image.tobytes()


def test_painting_comes_nearer_to_the_wish() -> None:
    """From noise: a sketch may be near it already."""
    first, last = (paint("a red apple", steps=steps, start="codes") for steps in (1, 15))
    assert last.losses["mini-clip-2: a red apple"] < first.losses["mini-clip-2: a red apple"]
    assert np.asarray(last.image).std() > 5, "a picture is no flat field"


def test_they_paint_together_with_a_clip_of_open_clips(tiny_clip: Path) -> None:
    judges = [{"model": "mini-clip-2"}, {"model": str(tiny_clip), "weight": 0.5, "crops": 4}]
    painting = paint("a red apple", perceptors=judges, steps=3)
    assert sum("red apple" in name for name in painting.losses) == 2
    assert painting.image.tobytes() != paint("a red apple", steps=3).image.tobytes()


def test_they_are_frozen() -> None:
    model, _ = load_clip("mini-clip-2")
    parameters = [*load_vqgan("mini-vqgan").parameters(), *model.parameters()]
    assert not any(parameter.requires_grad for parameter in parameters)
    assert all(parameter.isfinite().all() for parameter in parameters)
