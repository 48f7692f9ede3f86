"""Weights to the init image order the distances to it, and targets draw the image to themselves."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import DEVICE, Tiny, paint
from PIL import Image

from vqclip.base.errors import ConfigError
from vqclip.guidance.interfaces import Scene
from vqclip.guidance.latent import Latent
from vqclip.guidance.losses.near_init import NearInit
from vqclip.guidance.references import Reference
from vqclip.pipeline.pipeline import Pipeline

pytestmark = pytest.mark.usefixtures("device")
STEPS = {
    "steps": 30,
    "optimizer": {"learning_rate": "0.2 -> 0"},
    "latent": {"stages": [{"scale": 1.0, "share": 1.0}], "ema_decay": 0.0},
}


def write_images() -> None:
    for name, colour in (("init.png", (40, 160, 60)), ("other.png", (200, 40, 40))):
        Image.new("RGB", (16, 16), colour).save(name)


def distance(config: Any, file: str) -> float:
    """The root mean square distance of what is painted from an image."""
    made = np.asarray(paint(config).image, np.float64)
    return float(np.sqrt(np.square(made - np.asarray(Image.open(file).convert("RGB"), np.float64)).mean()))


def test_norms_are_their_formulas() -> None:
    reference = Reference({(4, 4): torch.full((1, 3, 4, 4), 0.5)}, None, ())
    scene, latent = Scene(init="a", references={"a": reference}), Latent.begin(torch.zeros(1, 1, 1, 1))
    values = [NearInit(norm=norm).value(torch.zeros(1, 3, 4, 4), latent, scene) for norm in ("l1", "l2")]
    assert [float(value) for value in values] == [0.5, 0.25]


def test_weights_to_the_inits_pixels_order_the_distances(tiny: Tiny) -> None:
    write_images()
    off = [
        distance(
            tiny(drawer="fft", init="init.png", losses={"near_init": w}, **STEPS),
            "init.png",
        )
        for w in (0, 10, 1000)
    ]
    assert off[0] > off[1] > off[2]


def test_a_weight_in_clips_space_lowers_that_distance(tiny: Tiny) -> None:
    """Beside a prompt that draws away from it."""
    write_images()

    def apart(weight: float) -> float:
        config = tiny(drawer="fft", init="init.png", losses={"init_meaning": weight}, **STEPS)
        made = paint(config).image
        pipeline = Pipeline(tiny(drawer="fft", init="init.png", losses={"init_meaning": 1}), DEVICE)
        scene = pipeline.objective(pipeline.film.frame(0)).penalties
        measure = next(penalty.measure for penalty in scene if penalty.name == "init_meaning")
        pixels = torch.from_numpy(np.array(made)).permute(2, 0, 1)[None].float().to(DEVICE) / 255
        return float(measure(pixels, None))  # type: ignore[arg-type]

    assert apart(20) < apart(0)


@pytest.mark.parametrize("space", ["latent", "pixels"])
def test_targets_draw_the_image_to_them(space: str, tiny: Tiny) -> None:
    write_images()
    near = {"targets": ["other.png"], "space": space}
    with_it, without = (
        distance(
            tiny(drawer="fft", init="init.png", losses={"near_images": near | {"weight": w}}, **STEPS),
            "other.png",
        )
        for w in (1000, 0)
    )
    assert with_it < without


def test_a_schedule_lets_go(tiny: Tiny) -> None:
    write_images()
    held, freed = (
        distance(tiny(drawer="fft", init="init.png", losses={"near_init": w}, **STEPS), "init.png")
        for w in ("1000", "0:1000, 20%:0")
    )
    assert held < freed


def test_they_work_with_a_vqgan_and_coarse_stages(tiny: Tiny) -> None:
    write_images()
    losses = {"near_init": 1, "init_meaning": 1, "near_images": {"targets": ["other.png", "init.png"]}}
    made = paint(tiny(init="init.png", losses=losses))
    assert {"near_init", "init_meaning", "near_images"} <= set(made.losses)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ({"near_init": 1}, "losses.near_init: there is no init image"),
        ({"init_meaning": 1}, "losses.init_meaning: there is no init image"),
        ({"near_images": {"targets": []}}, "losses.near_images.targets: there are none"),
    ],
)
def test_what_is_missing_is_said_in_one_line(losses: Any, message: str, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=message):
        paint(tiny(losses=losses))
