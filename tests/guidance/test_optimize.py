"""The loop: it comes nearer to what is wished, decodes once a step, and its gradient is that of the whole graph."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from conftest import Tiny, random_vqgan
from torch import Tensor

from vqclip.base import seeds
from vqclip.base.errors import OutOfMemory
from vqclip.config.prompt import Kind, Prompt
from vqclip.config.schedule import Schedule
from vqclip.config.schema import PlateauConfig
from vqclip.config.timeline import Film, Frame
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.drawers.vqgan import VQGANDrawer
from vqclip.guidance.gradient import compute_losses
from vqclip.guidance.interfaces import Scene
from vqclip.guidance.loss import CropPenalty, Target, penalties, total
from vqclip.guidance.memory import MemoryBudget, plain_shortages
from vqclip.guidance.objective import Objective, PerceptorLoss, draw_step
from vqclip.guidance.ops import unit
from vqclip.guidance.optimize import Step, optimize, take_step
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.guidance.state import State
from vqclip.pipeline.pipeline import Pipeline


class Colours:
    """A perceptor of ten lines: it sees a crop as the mean colours of its quarters."""

    def __init__(self, size: int = 8):
        self.size = size

    def embed_crops(self, pixels: Tensor) -> Tensor:
        quarters = torch.nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1)
        return unit(quarters - 0.5 + 1e-3)


RED = unit(torch.tensor([[0.5] * 4 + [-0.5] * 8]))
BLUE = unit(torch.tensor([[-0.5] * 8 + [0.5] * 4]))


def view(
    goal: Tensor, name: str = "eye", size: int = 8, crops: int = 6, weight: float = 1.0
) -> PerceptorLoss:
    prompts = [Prompt(Kind.TEXT, f"{name} wishes"), Prompt(Kind.TEXT, "and not", -0.3)]
    targets = [Target(prompts[0], goal), Target(prompts[1], -goal)]
    return PerceptorLoss(name, Colours(size), targets, weight, crops)


class Setting:
    """A frame, a studio and a state to try the loop with."""

    def __init__(
        self,
        tiny: Tiny,
        views: Sequence[PerceptorLoss] = (view(RED),),
        optimizer: Any = torch.optim.Adam,
        **settings: Any,
    ):
        chunk, recompute = settings.pop("chunk", 64), settings.pop("recompute", False)
        config = tiny(cutouts={"count": 6}, **settings)
        drawer = VQGANDrawer(random_vqgan(), config.width, config.height)
        self.frame: Frame = Film(config).frame(0)
        self.objective = Objective(
            drawer, Cutouts(config.cutouts), views, penalties(config.losses, Scene(drawer.unit)),
            Schedule.parse(config.optimizer.learning_rate), config.latent.ema_decay, config.plateau,
            MemoryBudget(chunk, recompute),
        )  # fmt: skip
        z = drawer.random_latent(
            drawer.latent_shape(self.frame.stages[0].scale), torch.Generator().manual_seed(3)
        )
        self.state = State.begin(z, lambda z: optimizer([z], lr=1.0), config.seed)

    def steps(self) -> list[Step]:
        return [step for (step,) in optimize(self.frame, self.objective, [self.state])]

    def gradient(self) -> Tensor:
        """Of one step, as the optimiser is given it."""
        take_step(self.frame, self.objective, [self.state])
        return self.state.optimizer.seen  # type: ignore[attr-defined]


class Recorder(torch.optim.SGD):
    """An optimiser that keeps the gradient that it was given."""

    def step(self, closure: Any = None) -> Any:
        self.seen = self.param_groups[0]["params"][0].grad.clone()
        return super().step(closure)


def test_comes_nearer_to_what_is_wished(tiny: Tiny) -> None:
    """The distance falls by a third at least, and a wish for the opposite ends elsewhere."""
    whole = {"stages": [{"scale": 1, "share": 1}], "ema_decay": 0}
    for goal in (RED, BLUE):
        setting = Setting(tiny, [view(goal)], steps=40, latent=whole)
        losses = [step.losses["eye: eye wishes"].item() for step in setting.steps()]
        assert sum(losses[-5:]) < 0.66 * sum(losses[:5])


def spread(crops: Tensor, embeddings: Tensor) -> Tensor:
    """A loss of each crop that has a slope in pixels and embeddings."""
    return crops.square().mean((2, 3, 4)) + embeddings[..., 0]


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_the_gradient_of_crops_losses_is_that_of_the_whole_graph(tiny: Tiny, chunk: int) -> None:
    """One penalty of two perceptors' crops is added under its name."""
    penalty = CropPenalty("spread", Schedule.parse("0:2, 1:0"), spread)
    views = [
        dataclasses.replace(each, targets=each.targets[:1], penalties=[penalty])
        for each in (view(RED, "one"), view(BLUE, "two", size=12, crops=4, weight=0.5))
    ]
    setting = Setting(tiny, views, Recorder, chunk=chunk)
    objective, state = setting.objective, setting.state
    image, expected, losses = objective.drawer.decode(state.latent.z), torch.zeros(()), []
    for k, each in enumerate(views):
        seed = seeds.derive(state.seed, f"crops {k}")
        crops = objective.cutouts.of(image, each.perceptor.size, seed, each.crops).pixels
        embeddings = each.perceptor.embed_crops(crops)
        expected = expected + 2 * spread(crops[None], embeddings[None]).mean()
        losses.append(each.weight * each.targets[0].loss(embeddings))
    (gradient,) = torch.autograd.grad(expected + sum(losses), state.latent.z)
    (step,) = take_step(setting.frame, objective, [state])
    torch.testing.assert_close(state.optimizer.seen, gradient, rtol=1e-4, atol=1e-7)  # type: ignore[attr-defined]
    torch.testing.assert_close(step.losses["spread"], expected.detach(), rtol=1e-5, atol=1e-6)
    assert list(step.losses) == ["one: one wishes", "spread", "two: two wishes"]


@pytest.mark.parametrize("chunk", [1, 2, 4, 5])
def test_chunks_change_neither_gradient_nor_losses(tiny: Tiny, chunk: int) -> None:
    whole, chunked = Setting(tiny, optimizer=Recorder), Setting(tiny, optimizer=Recorder, chunk=chunk)
    torch.testing.assert_close(chunked.gradient(), whole.gradient(), rtol=1e-4, atol=1e-8)
    one, two = (next(iter(s.steps())).losses for s in (whole, chunked))
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_that_of_the_whole_graph(tiny: Tiny) -> None:
    """Two perceptors and every penalty, against autograd on everything at once."""
    views = [view(RED, "one"), view(BLUE, "two", size=12, crops=4, weight=0.5)]
    weights = {"tv": "0.3", "near_start": "0.2", "saturation": "0.1"}
    setting = Setting(tiny, views, Recorder, losses=weights)
    setting.state.latent.z.data += 0.3  # off its start, where `near_start` has a slope
    objective, z = setting.objective, setting.state.latent.z
    image = objective.drawer.decode(z)
    losses = []
    for k, each in enumerate(views):
        crops = objective.cutouts.of(
            image, each.perceptor.size, seeds.derive(setting.state.seed, f"crops {k}"), each.crops
        )
        embeddings = each.perceptor.embed_crops(crops.pixels)
        losses += [each.weight * target.loss(embeddings) for target in each.targets]
    losses += [p.weight.at(0, 6) * p.measure(image, setting.state.latent) for p in objective.penalties]
    (expected,) = torch.autograd.grad(torch.stack(losses).sum(), z)
    torch.testing.assert_close(setting.gradient(), expected, rtol=1e-4, atol=1e-7)


def test_every_wish_and_penalty_is_among_the_losses(tiny: Tiny) -> None:
    """By name; a wish that is uttered twice counts twice."""
    twice = PerceptorLoss("eye", Colours(), view(RED).targets * 2, 1.0, 6)
    single = Setting(tiny, losses={"tv": "1", "near_start": "0"}).steps()[0]
    double = Setting(tiny, [twice], losses={"tv": "1", "near_start": "0"}).steps()[0]
    assert list(single.losses) == ["eye: eye wishes", "eye: and not", "tv"]
    torch.testing.assert_close(double.losses["eye: eye wishes"], 2 * single.losses["eye: eye wishes"])
    assert single.loss.item() == pytest.approx(total(single.losses).item())


def test_decodes_once_a_step(tiny: Tiny) -> None:
    setting = Setting(tiny, [view(RED), view(BLUE, "two")], chunk=2, steps=5)
    decoded: list[int] = []
    setting.objective.drawer.vqgan.decoder.register_forward_hook(lambda *_: decoded.append(1))
    assert len(setting.steps()) == len(decoded) == 5


def test_yields_every_step_in_order_and_grows_between_stages(tiny: Tiny) -> None:
    stages = [{"scale": 0.5, "share": 1}, {"scale": 1, "share": 1}]
    setting = Setting(tiny, steps=4, latent={"stages": stages}, size="16x12")
    steps = setting.steps()
    assert [step.index for step in steps] == [1, 2, 3, 4]
    assert [tuple(step.image.shape[2:]) for step in steps] == [(6, 8), (6, 8), (12, 16), (12, 16)]
    assert setting.state.step == 4
    assert setting.state.latent.shape == (6, 8)


def test_a_state_behind_some_steps_goes_on_there(tiny: Tiny) -> None:
    straight, stopped = Setting(tiny, steps=6), Setting(tiny, steps=6)
    straight.steps()
    loop = optimize(stopped.frame, stopped.objective, [stopped.state])
    assert [next(loop)[0].index for _ in range(4)] == [1, 2, 3, 4]
    loop.close()
    assert [step.index for step in stopped.steps()] == [5, 6]
    assert torch.equal(stopped.state.latent.mean, straight.state.latent.mean)


def test_z_stays_within_the_codebooks_bounds(tiny: Tiny) -> None:
    setting = Setting(tiny)
    drawer = setting.objective.drawer
    for _ in setting.steps():
        z = setting.state.latent.z
        assert bool(((z >= drawer.low) & (z <= drawer.high)).all())


def test_the_rate_is_the_schedules_in_the_codebooks_deviations(tiny: Tiny) -> None:
    rates: list[float] = []

    class Watcher(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    setting = Setting(tiny, optimizer=Watcher, steps=3)
    setting.steps()
    codebook_std = setting.objective.drawer.unit
    assert rates == pytest.approx([0.4 * codebook_std, 0.25 * codebook_std, 0.1 * codebook_std])


@pytest.mark.parametrize(("patience", "steps"), [(0, 30), (3, 4)])
def test_a_plateau_ends_the_painting_early_only_if_asked(tiny: Tiny, patience: int, steps: int) -> None:
    """Improvements of more than the whole loss never come, so patience is all that counts."""
    setting = Setting(tiny, steps=30, plateau={"patience": patience, "improvement": 10.0})
    assert isinstance(setting.objective.plateau, PlateauConfig)
    assert len(setting.steps()) == steps


def test_a_frozen_model_gathers_no_gradient(tiny: Tiny) -> None:
    setting = Setting(tiny)
    setting.steps()
    assert all(parameter.grad is None for parameter in setting.objective.drawer.vqgan.parameters())


def test_recomputing_changes_not_a_bit_of_the_gradient(tiny: Tiny) -> None:
    plain, sparing = Setting(tiny, optimizer=Recorder), Setting(tiny, optimizer=Recorder, recompute=True)
    assert torch.equal(sparing.gradient(), plain.gradient())


class Narrow(Colours):
    """A perceptor that has room for so many crops only."""

    def __init__(self, room: int, words: str = "[enforce fail] DefaultCPUAllocator: can't allocate memory"):
        super().__init__()
        self.room, self.words = room, words

    def embed_crops(self, pixels: Tensor) -> Tensor:
        if len(pixels) > self.room:
            raise RuntimeError(self.words)
        return super().embed_crops(pixels)


def narrow(*room: Any) -> PerceptorLoss:
    return PerceptorLoss("eye", Narrow(*room), view(RED).targets, 1.0, 6)


def test_a_shortage_of_memory_costs_time_and_nothing_else(tiny: Tiny) -> None:
    """Every step is taken, on the way of a studio that had taken small chunks from the start."""
    short, small = Setting(tiny, [narrow(2)]), Setting(tiny, chunk=1, recompute=True)
    assert len(short.steps()) == len(small.steps()) == 6
    assert short.objective.budget == MemoryBudget(chunk=1, recompute=True)
    assert torch.equal(short.state.latent.z, small.state.latent.z)


def test_a_step_that_no_measure_makes_room_for_leaves_the_state_as_it_was(tiny: Tiny) -> None:
    setting = Setting(tiny, [narrow(0)])
    before, _ = setting.state.to_tensors()
    before = {name: value.clone() for name, value in before.items()}
    with pytest.raises(OutOfMemory, match="make smaller images"):
        setting.steps()
    after, _ = setting.state.to_tensors()
    assert setting.state.step == 0
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_other_errors_are_no_shortage(tiny: Tiny) -> None:
    setting = Setting(tiny, [narrow(0, "a bug")])
    with pytest.raises(RuntimeError, match="a bug"):
        setting.steps()
    assert setting.objective.budget == MemoryBudget()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GiB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
    ],
)
def test_a_shortage_outside_of_steps_is_told_plainly(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="make smaller images"), plain_shortages():
        raise error
    with pytest.raises(RuntimeError, match="a bug"), plain_shortages():
        raise RuntimeError("a bug")


def test_a_step_waits_for_no_number(tiny: Tiny) -> None:
    """On the meta device numbers can't be read; a GPU's would have to be waited for. Nothing is left on the CPU."""
    config = tiny(cutouts={"count": 4, "noise": 0, "jitter": 0.5, "erase": 0.5}, losses={"saturation": "0.1"})
    pipeline = Pipeline(config, torch.device("cpu"))
    frame = Film(config).frame(0)
    objective = pipeline.objective(frame)
    state = pipeline.begin(frame, objective, 1)
    drawer, (seen,) = objective.drawer, objective.perceptor_losses
    drawer.vqgan.to("meta")
    drawer.low, drawer.high = drawer.low.to("meta"), drawer.high.to("meta")
    eye = seen.perceptor
    assert isinstance(eye, OpenCLIPPerceptor)
    eye._visual.to("meta")
    eye.mean, eye.std = eye.mean.to("meta"), eye.std.to("meta")
    targets = [Target(target.prompt, target.embeddings.to("meta")) for target in seen.targets]
    objective = dataclasses.replace(objective, perceptor_losses=[dataclasses.replace(seen, targets=targets)])
    state = State.begin(state.latent.z.to("meta"), pipeline.make_optimizer, 1)
    (step,) = take_step(frame, objective, [state])
    assert state.latent.z.is_meta
    assert all(loss.is_meta for loss in step.losses.values())
    with pytest.raises(RuntimeError):
        float(step.loss)


def test_a_scale_on_the_gradients_way_leaves_the_latents_gradient_as_it_is(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Powers of two are exact: fp16 gets the gradient that it would have without one if its numbers were longer."""
    pipeline = Pipeline(tiny(losses={"tv": 1, "near_start": 1}), torch.device("cpu"))
    frame = pipeline.film.frame(0)
    found: list[Tensor] = []
    for scale in (1.0, 1024.0):
        monkeypatch.setattr(Objective, "gradient_scale", scale)
        objective = pipeline.objective(frame)
        state = pipeline.begin(frame, objective, 1)
        compute_losses(objective, [state], draw_step(frame, objective, [state]))
        assert state.latent.z.grad is not None
        found.append(state.latent.z.grad)
    assert found[0].abs().max() > 0
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=0)
