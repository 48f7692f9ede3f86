"""Each recipe paints as its peer's loop, written anew, does: on the same weights and crops, step for step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.plain.decoder import Painter
from benchmarks.plain.recipes import CrowsonMSE, Judge, Pixray, Pytti, Recipe, Text
from vqclip.base import seeds
from vqclip.config import resolve as configs
from vqclip.config.schedule import Schedule
from vqclip.config.schema import Config
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.optimize import optimize
from vqclip.guidance.state import State
from vqclip.pipeline.pipeline import Pipeline

STEPS = 20
TEXTS = [Text("a red apple"), Text("a fish", 0.4, 1.1), Text("a blue sky", -0.5, -1.2)]
CPU = torch.device("cpu")

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # kornia's


def recipe(name: str, vqgan: Path, clips: list[Path], **given: Any) -> Config:
    """A recipe on tiny models, over few steps."""
    prompts = ["a red apple", "a fish:0.4:1.1", "a blue sky:-0.5:-1.2"]
    small = {
        "prompts": prompts, "seed": 5, "size": "24x16", "steps": STEPS, "vqgan": str(vqgan),
        "precision": "float32", "perceptors": [{"model": str(clip)} for clip in clips],
    }  # fmt: skip
    return configs.resolve(small | given, preset=f"recipes/{name}")


def ours(config: Config) -> tuple[State, Tensor, list[list[float]], list[Tensor]]:
    """The state after all steps, the first latent, and each step's losses and latent."""
    pipeline = Pipeline(config, CPU)
    frame = pipeline.film.frame(0)
    objective = pipeline.objective(frame)
    state = pipeline.begin(frame, objective, config.seed)
    start, losses, latents = state.latent.z.detach().clone(), [], []
    for (step,) in optimize(frame, objective, [state]):
        losses.append([loss.item() for loss in step.losses.values()])
        latents.append(state.latent.z.detach().clone())
    return state, start, losses, latents


def theirs(
    make: Callable[..., Recipe], config: Config, vqgan: Path, clips: list[Path], start: Tensor, rate: float
) -> tuple[Recipe, list[list[float]], list[Tensor]]:
    cutouts = Cutouts(config.cutouts)
    judges = [Judge(str(clip), TEXTS) for clip in clips]

    def look(step: int, k: int, image: Tensor) -> Tensor:
        return cutouts.of(image, judges[k].size, seeds.derive(config.seed, f"crops {k}", 0, step)).pixels

    loop = make(Painter(str(vqgan)), judges, start, look, STEPS, rate)
    losses, latents = [], []
    for found in loop.run():
        losses.append(found)
        latents.append(loop.z.detach().clone())
    return loop, losses, latents


MSE = {
    "optimizer": {"restart": STEPS // 5},  # its epochs, shortened as its steps are
    "losses": {
        "near_zero": "0:0.75, 4:0.75, 4:0.6, 8:0.6, 8:0.45, 12:0.45, 12:0.3, 16:0.3, 16:0.15, 20:0.15"
    },
}


@pytest.mark.parametrize(
    ("name", "make", "rate", "given"),
    [
        ("nerdyrodent", Recipe, 0.1, {}),
        ("pixray", Pixray, 0.2, {}),
        ("crowson", Recipe, 0.05, {}),
        ("crowson-mse", CrowsonMSE, 0.95, MSE),
        ("pytti", Pytti, 0.1, {}),
    ],
)
def test_paints_as_its_peer_does(
    name: str,
    make: Any,
    rate: float,
    given: dict[str, Any],
    tiny_vqgan: Path,
    tiny_clip: Path,
    other_clip: Path,
) -> None:
    """Losses and latents agree to 1e-4 over all steps, with two CLIPs and three texts."""
    clips = [tiny_clip, other_clip]
    config = recipe(name, tiny_vqgan, clips, **given)
    state, start, losses, latents = ours(config)
    loop, expected, places = theirs(make, config, tiny_vqgan, clips, start, rate)
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(expected), rtol=1e-4, atol=1e-4)
    off = (torch.stack(latents) - torch.stack(places)).abs()
    assert float(off.flatten().quantile(0.99)) < 1e-4
    # The first stride of a fresh Adam is a rate long even where the gradient is little more than its rounding.
    assert float(off.max()) < max(1e-4, 1e-3 * rate)
    assert float((latents[-1] - start).abs().mean()) > 5 * 1e-2  # it went somewhere
    shown = loop.average if isinstance(loop, Pytti) else loop.z.detach()
    torch.testing.assert_close(state.latent.mean, shown, rtol=0, atol=max(1e-4, 1e-3 * rate))


@pytest.mark.parametrize("name", ["nerdyrodent", "crowson", "crowson-mse", "pytti"])
def test_begins_from_codes(name: str, tiny_vqgan: Path, tiny_clip: Path) -> None:
    start = ours(recipe(name, tiny_vqgan, [tiny_clip], steps=1))[1]
    cells, codebook = start.movedim(1, 3).reshape(-1, start.shape[1]), Painter(str(tiny_vqgan)).codebook
    nearest = torch.cdist(cells, codebook).argmin(1)
    assert torch.equal(cells, codebook[nearest])
    assert len(set(nearest.tolist())) > len(codebook) // 2  # not all the same


def test_the_pull_to_zero_falls_with_each_epoch() -> None:
    config = configs.resolve({"seed": 0}, preset="recipes/crowson-mse")
    weights = [
        Schedule.parse(config.losses["near_zero"].weight).at(step, config.steps)
        for step in range(config.steps)
    ]
    assert weights == pytest.approx([0.5 * 1.5 * (1 - step // 50 / 5) for step in range(250)])
    assert config.optimizer.restart == 50


def test_a_restart_is_a_fresh_optimiser(tiny_vqgan: Path, tiny_clip: Path) -> None:
    """For every optimiser, moments that were set back do what new ones do."""
    for name in ("adam", "adamw", "adamax", "nadam", "radam", "adagrad", "rmsprop", "sgd"):
        config = recipe("crowson", tiny_vqgan, [tiny_clip], optimizer={"name": name})
        pipeline = Pipeline(replace(config, steps=1), CPU)
        gradients = torch.randn(3, 1, 2, 3, 3, generator=torch.Generator().manual_seed(0)).unbind()
        used = State.begin(torch.zeros(1, 2, 3, 3), pipeline.make_optimizer, 0)
        for gradient in gradients[:2]:
            used.latent.z.grad = gradient.clone()
            used.optimizer.step()
        used.restart()
        fresh = State.begin(used.latent.z, pipeline.make_optimizer, 0)
        for state in (used, fresh):
            state.latent.z.grad = gradients[2].clone()
            state.optimizer.step()
        assert torch.equal(used.latent.z, fresh.latent.z), name
