"""Steps that are captured and replayed are those that are taken one by one, bit by bit; where they aren't, none is.

The graphs are stand-ins that do on a CPU what a device would: they fill the same tensors again.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Tiny
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from vqclip.config.schema import OPTIMIZERS, Config
from vqclip.guidance.objective import Objective, draw_step
from vqclip.guidance.optimize import READ_EVERY, Step, optimize, optimizer_step, take_step
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.guidance.records import DeviceRecord, tensors
from vqclip.guidance.state import State
from vqclip.guidance.step_graph import WARM_UP, StepGraphs, step_graphs
from vqclip.pipeline.events import result
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.runs.run import Run

CPU = torch.device("cpu")
SEEDS = (3, 11, 4)


class Replays:
    """A backend that keeps the Python of a step, and runs it again into the tensors of the first time."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def aside(self, work: Callable[[], Any]) -> Any:
        return work()

    def rehearse(self, work: Callable[[], Any]) -> tuple[Any, str | None]:
        return work(), None

    def capture(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        self.captures += 1
        kept = work()

        def replay() -> None:
            self.replays += 1
            for there, new in zip(tensors(kept), tensors(work()), strict=True):
                there.copy_(new)

        return kept, replay


class Stale(Replays):
    """Its replays do nothing."""

    def capture(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        return super().capture(work)[0], lambda: None


class Adding(Replays):
    """Its replays are off by something."""

    def __init__(self, error: float):
        super().__init__()
        self.error = error

    def capture(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        kept, replay = super().capture(work)

        def wrong() -> None:
            replay()
            for tensor in tensors(kept):
                tensor.add_(self.error)

        return kept, wrong


class Refusing(Replays):
    """It fails in the middle of a step, after that has changed things."""

    def __init__(self, error: Exception):
        super().__init__()
        self.error = error

    def capture(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        work()
        raise self.error


class Waiting(Replays):
    """Its device is waited for; a capture would be cut off, and torch would keep its memory."""

    def rehearse(self, work: Callable[[], Any]) -> tuple[Any, str | None]:
        return work(), "line 7 of odd.py"

    def capture(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        raise AssertionError("this step can't be captured")


class Painting:
    """States on their way with a backend, or none."""

    def __init__(self, config: Config, backend: Any = None, seeds: Sequence[int] = SEEDS[:1]):
        self.pipeline = Pipeline(config, CPU)
        self.frame = self.pipeline.film.frame(0)
        self.studio: Objective = dataclasses.replace(
            self.pipeline.objective(self.frame), graphs=StepGraphs(backend, torch.float32)
        )
        self.states = [self.pipeline.begin(self.frame, self.studio, seed) for seed in seeds]
        self.steps: list[list[Step]] = []

    def go(self, most: int = 1000) -> "Painting":
        for steps in optimize(self.frame, self.studio, self.states):
            self.steps.append(steps)
            if len(self.steps) == most:
                break
        return self

    def resumed(self, backend: Any = None) -> "Painting":
        """As from a file, in another process."""
        other = Painting(self.pipeline.config, backend, [])
        for state in self.states:
            found, strings = state.to_tensors()
            copies = {name: tensor.detach().clone() for name, tensor in found.items()}
            other.states.append(State.from_tensors(copies, strings, self.pipeline.make_optimizer))
        return other

    def bits(self) -> list[Tensor]:
        """All that there is to compare: losses and pictures of each step, and how the states ended."""
        seen = [x for steps in self.steps for step in steps for x in (step.loss, step.image)]
        ends = [x for state in self.states for x in (*state.live, state.latent.mean)]
        return [*seen, *ends]


def assert_same(one: Painting, other: Painting) -> None:
    for a, b in zip(one.bits(), other.bits(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def rich(tiny: Tiny, other_clip: Path) -> Config:
    """A tile of two stages that three perceptors look at, one of them at larger crops, with every kind of chance."""
    eye = tiny().perceptors[0].model
    return tiny(
        tile=True, steps=20, prompts=["a red apple | rust:-0.3:-0.5"],
        perceptors=[{"model": eye}, {"model": eye, "crops": 7, "weight": 0.5}, {"model": str(other_clip)}],
        cutouts={"anchors": 1, "smallest": 0.2, "noise": 0.1, "erase": 0.5, "border": "grey", "beyond": 0.3},
        losses={"tv": "0.3 -> 0.1", "near_start": "0.2", "saturation": "0.1"},
        latent={"stages": [{"scale": 0.5, "share": 1}, {"scale": 1.0, "share": 1}]},
    )  # fmt: skip


@pytest.mark.parametrize("seeds", [SEEDS[:1], SEEDS])
def test_replays_are_ordinary_steps_bit_by_bit(rich: Config, seeds: Sequence[int]) -> None:
    """Over twenty steps and a change of the latent's size; each stage is captured once."""
    backend = Replays()
    replayed = Painting(rich, backend, seeds).go()
    assert_same(replayed, Painting(rich, None, seeds).go())
    assert backend.captures == 2
    assert backend.replays == 2 * (10 - WARM_UP)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_every_optimiser(tiny: Tiny, name: str) -> None:
    config, backend = tiny(steps=10, optimizer={"name": name, "learning_rate": "0.4 -> 0.1"}), Replays()
    assert_same(Painting(config, backend).go(), Painting(config, None).go())
    assert backend.replays


@pytest.mark.parametrize("stop", [2, 6, 13])
def test_a_resumed_painting_is_as_if_it_had_never_stopped(rich: Config, stop: int) -> None:
    straight, stopped = Painting(rich, Replays()).go(), Painting(rich, Replays()).go(stop)
    resumed = stopped.resumed(Replays()).go()
    resumed.steps = stopped.steps + resumed.steps
    assert_same(resumed, straight)


def test_steps_keep_what_they_were_given(tiny: Tiny) -> None:
    """A list of steps isn't overwritten by later replays."""
    painting, seen = Painting(tiny(steps=12), Replays()), []
    for steps in optimize(painting.frame, painting.studio, painting.states):
        painting.steps.append(steps)
        seen.append((steps[0].loss.item(), steps[0].image.clone()))
    for (step,), (loss, image) in zip(painting.steps, seen, strict=True):
        assert step.loss.item() == loss
        assert torch.equal(step.image, image)


def test_a_plateau_reads_losses_now_and_then_and_ends_where_it_would(tiny: Tiny) -> None:
    """Improvements of more than the whole loss never come; a resumed painting ends at the same step."""
    config = tiny(steps=60, plateau={"patience": 13, "improvement": 10.0}, size="8x8")
    ends = []
    for stop in (1000, 7, 17):
        stopped = Painting(config, Replays()).go(stop)
        resumed = stopped if stop == 1000 else stopped.resumed(Replays()).go()
        ends.append(resumed.states[0].step)
    assert ends == [2 * READ_EVERY] * 3
    ordinary = Painting(config, None).go()
    assert ordinary.states[0].step == 2 * READ_EVERY


def test_one_of_several_that_has_settled_is_left_alone(tiny: Tiny) -> None:
    config = tiny(steps=26, plateau={"patience": 5, "improvement": 0.05})
    replayed, ordinary = Painting(config, Replays(), SEEDS), Painting(config, None, SEEDS)
    for painting in (replayed, ordinary):
        painting.states[1].plateau.since = 5
        painting.go()
    assert_same(replayed, ordinary)
    assert replayed.states[1].step == 0 < replayed.states[0].step


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (Stale(), "off by"),
        (Adding(0.3), "off by"),
        (Refusing(RuntimeError("operation not permitted when stream is capturing\nmore")), "not permitted"),
        (Refusing(KeyError("capturable")), "capturable"),
        (Refusing(torch.OutOfMemoryError("CUDA out of memory. Tried")), "out of memory"),
        (Refusing(MemoryError()), "MemoryError"),
        (Waiting(), "waits for the device at line 7 of odd.py"),
    ],
)
def test_what_can_not_be_replayed_is_painted_all_the_same(
    rich: Config, caplog: pytest.LogCaptureFixture, backend: Replays, words: str
) -> None:
    """With the pixels of ordinary steps, and one line."""
    with caplog.at_level(logging.WARNING):
        painting = Painting(rich, backend).go()
    (line,) = caplog.messages
    assert words in line
    assert "\n" not in line
    assert_same(painting, Painting(rich, None).go())
    assert painting.studio.graphs
    assert not painting.studio.graphs.has_replayed
    assert painting.studio.budget == Painting(rich).studio.budget


def test_rounding_is_no_reason_to_give_up(rich: Config) -> None:
    backend = Adding(1e-7)
    Painting(rich, backend).go()
    assert backend.replays == 2 * (10 - WARM_UP)


def test_a_shortage_in_an_ordinary_step_still_ends_in_a_measure(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = OpenCLIPPerceptor.embed_crops

    def cramped(self: OpenCLIPPerceptor, pixels: Tensor) -> Tensor:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return embed(self, pixels)

    monkeypatch.setattr(OpenCLIPPerceptor, "embed_crops", cramped)
    backend = Replays()
    painting = Painting(tiny(steps=8), backend).go()
    assert painting.studio.budget.chunk <= 2
    assert backend.replays


def test_a_film_is_captured_frame_by_frame(tiny: Tiny, tmp_path: Any) -> None:
    config = tiny(
        prompts=["an owl ^ a cat"], film={"frames": 4, "steps": 6}, story={"frames": 2}, size="16x12"
    )
    frames = []
    for backend in (Replays(), None):
        pipeline = Pipeline(config, CPU)
        pipeline._graphs = StepGraphs(backend)
        run = Run.create(tmp_path, config, {})
        result(render(config, pipeline, run))
        frames.append([run.frames.mix({k: 1.0}) for k in range(4)])
        assert backend is None or backend.captures == 4
    assert all(torch.equal(a, b) for a, b in zip(*frames, strict=True))


class RefusedError(Exception):
    """An error of who takes the steps."""


def holds_memory(graphs: StepGraphs | None) -> bool:
    assert graphs
    return any(part is not None for part in (graphs._replay, graphs._outputs, graphs._inputs))


@pytest.mark.parametrize("end", ["finished", "left", "failed"])
def test_a_graph_is_dropped_with_the_last_step_however_the_loop_ends(tiny: Tiny, end: str) -> None:
    """Its memory, that of a whole step, is free for what comes after: the finished image is decoded in one piece."""
    painting = Painting(tiny(steps=8, latent={"stages": [{"scale": 1.0, "share": 1}]}), Replays())
    graphs = painting.studio.graphs
    with contextlib.suppress(RefusedError):
        for (step,) in optimize(painting.frame, painting.studio, painting.states):
            assert holds_memory(graphs)
            assert graphs
            assert graphs.has_replayed == (step.index > WARM_UP + 1)
            if step.index == 6 and end == "left":
                break
            if step.index == 6 and end == "failed":
                raise RefusedError
    assert not holds_memory(graphs)
    assert graphs
    assert graphs.has_replayed  # the check of a GPU asks after the last step


def test_a_start_that_optimises_drops_its_graph(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept while the image is made; its memory isn't."""
    made: list[StepGraphs] = []

    def step_graphs(*_: Any) -> StepGraphs:
        made.append(StepGraphs(Replays()))
        return made[-1]

    monkeypatch.setattr("vqclip.pipeline.pipeline.step_graphs", step_graphs)
    pipeline = Pipeline(tiny(start={"name": "ascent", "steps": 8, "side": 16}), CPU)
    pipeline.first_image(pipeline.film.frame(0), torch.Generator().manual_seed(1))
    assert [graphs._backend.captures for graphs in made] == [0, 1]  # type: ignore[union-attr]
    assert not any(map(holds_memory, made))


def test_graphs_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQCLIP_GRAPH", "0")
    found = step_graphs(torch.device("cuda"), torch.bfloat16)
    assert found is not None
    assert found._backend is None
    assert step_graphs(CPU, torch.float32) is None


class TestRecords:
    def test_one_buffer_holds_them_all(self, rich: Config) -> None:
        painting = Painting(rich)
        draws = []
        for step in (0, 5):
            painting.states[0].step = step
            draws.append(draw_step(painting.frame, painting.studio, painting.states))
        there = DeviceRecord(draws[0], CPU)
        assert there.fits(draws[1])
        for draw in draws:
            assert all(map(torch.equal, tensors(there.load(draw)), tensors(draw)))
        assert len({tensor.untyped_storage().data_ptr() for tensor in tensors(there.record)}) == 1

    def test_another_shape_or_number_does_not_fit(self) -> None:
        there = DeviceRecord((torch.zeros(3), 2), CPU)
        assert there.fits((torch.ones(3), 2))
        for other in ((torch.zeros(4), 2), (torch.zeros(3).long(), 2), (torch.zeros(3), 3)):
            assert not there.fits(other)


class Fence(TorchDispatchMode):
    """Counts copies from the CPU to a device; fails where a device's number is read or a shape depends on numbers."""

    copies = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        devices = {x.device.type for x in args if isinstance(x, Tensor)}
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "masked_select", "unique") and devices != {"cpu"}:
            raise AssertionError(f"{name} waits for the device")
        result = func(*args, **(kwargs or {}))
        if name in ("copy_", "_to_copy", "lift_fresh_copy") and "cpu" in devices:
            self.copies += devices != {"cpu"} or (isinstance(result, Tensor) and result.device.type != "cpu")
        return result


@contextmanager
def on_meta(config: Config, seeds: Sequence[int]) -> Iterator[Painting]:
    """A painting whose networks and states lie on the meta device."""
    painting = Painting(config, None, seeds)
    drawer = painting.studio.drawer
    drawer.vqgan.to("meta")
    drawer.low, drawer.high = drawer.low.to("meta"), drawer.high.to("meta")
    views = []
    for view in painting.studio.perceptor_losses:
        eye: Any = view.perceptor
        eye._visual.to("meta")
        eye.mean, eye.std = eye.mean.to("meta"), eye.std.to("meta")
        targets = [
            dataclasses.replace(target, embeddings=target.embeddings.to("meta")) for target in view.targets
        ]
        views.append(dataclasses.replace(view, targets=targets))
    painting.studio = dataclasses.replace(painting.studio, perceptor_losses=views)
    painting.states = [
        State.begin(state.latent.z.to("meta"), painting.pipeline.make_optimizer, state.seed)
        for state in painting.states
    ]
    yield painting


@pytest.mark.parametrize("recompute", [False, True])
def test_a_step_sends_one_buffer_and_waits_for_nothing(rich: Config, recompute: bool) -> None:
    """On the meta device, whose numbers can't be read: one copy from the CPU, for all that is random."""
    with on_meta(rich, SEEDS[:2]) as painting:
        painting.studio.budget.recompute = recompute
        for _ in range(2):
            with Fence() as fence:
                steps = take_step(painting.frame, painting.studio, painting.states)
            assert fence.copies == 1
            assert all(loss.is_meta for step in steps for loss in step.losses.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_of_a_gpu_keeps_its_numbers_there(tiny: Tiny, name: str) -> None:
    """Of tensors that claim to be CUDA's: no number is read, and none of theirs is met by one of the CPU's."""
    pipeline = Pipeline(tiny(optimizer={"name": name}), CPU)
    objective = pipeline.objective(pipeline.film.frame(0))
    with FakeTensorMode():
        drawer = objective.drawer
        bounds = [torch.empty(1, 5, 1, 1, device="cuda") for _ in range(2)]
        drawer.low, drawer.high = bounds
        state = State.begin(torch.empty(1, 5, 8, 8, device="cuda"), pipeline.make_optimizer, 1)
        for _ in range(2):
            state.latent.z.grad = torch.empty(1, 5, 8, 8, device="cuda")
            optimizer_step(objective, state, torch.empty((), device="cuda"))
        if name != "adagrad":  # its count has no effect on its stride
            assert all(tensor.is_cuda for tensor in state.live)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_that_is_a_tensor_moves_as_far_as_a_number(tiny: Tiny, name: str) -> None:
    config = tiny(optimizer={"name": name})
    one, other = Painting(config, None), Painting(config, None)
    one.studio = dataclasses.replace(one.studio, graphs=None)
    for step in range(3):
        for painting in (one, other):
            z = painting.states[0].latent.z
            z.grad = torch.randn(z.shape, generator=torch.Generator().manual_seed(step))
            optimizer_step(painting.studio, painting.states[0], torch.tensor(0.02 / (step + 1)))
    torch.testing.assert_close(one.states[0].latent.z, other.states[0].latent.z, rtol=1e-5, atol=1e-6)
