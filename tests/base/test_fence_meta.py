"""A step on a device without numbers, forth and back by torch's own engine: what it would wait for is an error."""

import dataclasses
import inspect
from collections import Counter
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from conftest import Tiny
from fence_paths import write_head, write_vgg
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from vqclip.base.device import strengths
from vqclip.guidance import motion
from vqclip.guidance.drawers.vqgan import VQGANDrawer
from vqclip.guidance.filtered_drawer import FilteredDrawer
from vqclip.guidance.loss import Penalty, Target
from vqclip.guidance.masking import MaskedDrawer
from vqclip.guidance.objective import Objective, PerceptorLoss
from vqclip.guidance.optimize import Step, take_step
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.guidance.records import mapped, tensors
from vqclip.guidance.state import State
from vqclip.guidance.transparent_drawer import TransparentDrawer
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import numbers

CPU, META = torch.device("cpu"), torch.device("meta")
aten: Any = torch.ops.aten

# Who copies from the CPU in a step, and how often: what it draws by chance comes from there, in one buffer.
COPIES = {"vqclip.guidance.records.load": 1}
READS = (
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
)


class Watch(TorchDispatchMode):
    """Counts copies from the CPU by who asks for them; forbids to read what isn't there, and 64-bit floats.

    MPS, whose kernels these are, has no such floats.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copies: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        brings = func is aten._to_copy.default and torch.device((kwargs or {}).get("device") or META) == CPU
        assert not ((func in READS or brings) and args[0].is_meta), f"a step reads: {func} in {asker()}"
        done = func(*args, **(kwargs or {}))
        for made in tensors([done]):
            assert not (made.is_meta and made.dtype == torch.float64), f"64-bit floats: {func} in {asker()}"
        given = {aten._to_copy.default: args[:1], aten.copy_.default: args[1:2]}.get(func, ())
        if any(not x.is_meta for x in given) and done.is_meta:
            self.copies[asker()] += 1
        return done


def asker() -> str:
    """The function of vqclip's that is at work."""
    frame = inspect.currentframe()
    while frame is not None and not _is_ours(frame):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"


def _is_ours(frame: FrameType) -> bool:
    return frame.f_globals["__name__"].startswith("vqclip.") and not frame.f_code.co_name.startswith("<")


def without_numbers(view: PerceptorLoss) -> PerceptorLoss:
    """A view whose perceptor and targets have moved to the meta device."""
    perceptor = view.perceptor
    assert isinstance(perceptor, OpenCLIPPerceptor)
    perceptor._visual.to(META)
    perceptor.mean, perceptor.std = perceptor.mean.to(META), perceptor.std.to(META)
    targets = [
        Target(target.prompt, target.embeddings.to(META), on_meta(target.region)) for target in view.targets
    ]
    return dataclasses.replace(view, targets=targets)


def on_meta(record: Any) -> Any:
    return mapped(record, lambda x: x.to(META))


def scene_without_numbers(penalty: Penalty) -> Penalty:
    """A penalty whose scene, if it has one, has moved to the meta device; others send tables in their first step."""
    measure: Any = penalty.measure
    scene = getattr(measure, "keywords", {}).get("scene")
    if scene is None:
        return penalty
    if scene.embed is not None:
        view = scene.embed.__self__
        view._map, view._placements = on_meta(view._map), on_meta(view._placements)
    return dataclasses.replace(penalty, measure=partial(measure.func, scene=on_meta(scene)))


def without_numbers_too(drawer: Any) -> Any:
    """A drawer that has moved to the meta device, with those behind it."""
    if isinstance(drawer, VQGANDrawer):
        drawer.vqgan.to(META)
        drawer.low, drawer.high = drawer.low.to(META), drawer.high.to(META)
        return drawer
    if isinstance(drawer, MaskedDrawer):
        drawer._canvases = on_meta(drawer._canvases)
    if isinstance(drawer, FilteredDrawer | MaskedDrawer | TransparentDrawer):
        drawer._drawer = without_numbers_too(drawer._drawer)
        return drawer
    drawer.device = META
    for name, value in vars(drawer).items():
        if isinstance(value, torch.Tensor):
            setattr(drawer, name, value.to(META))
        if isinstance(value, dict):
            value.clear()  # it is made anew when it is next asked for
    return drawer


def take_two(pipeline: Pipeline, images: int) -> tuple[Watch, list[State]]:
    """Two steps of a frame whose models and latents lie on the meta device; the Watch saw the second.

    The first may copy tables, as no first step of a stage is captured.
    """
    frame = pipeline.film.frame(0)
    for known in pipeline._embeddings:
        known.perceptor.device = META  # heads ask where they shall lie
    objective = pipeline.objective(frame)
    begun = [pipeline.begin(frame, objective, seed) for seed in range(images)]
    objective: Objective = dataclasses.replace(
        objective,
        drawer=without_numbers_too(objective.drawer),
        perceptor_losses=[without_numbers(view) for view in objective.perceptor_losses],
        penalties=[scene_without_numbers(penalty) for penalty in objective.penalties],
    )
    states = [State.begin(state.latent.z.to(META), pipeline.make_optimizer, state.seed) for state in begun]
    for _ in range(2):
        with Watch() as watch:
            steps = take_step(frame, objective, states)
    assert all(loss.is_meta for step in steps for loss in step.losses.values())
    return watch, states


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels of other devices than the CPU."""
    given = strengths(torch.device("mps"))
    monkeypatch.setattr("vqclip.models.kernels.strengths", lambda _: given)


EVERY_CHANCE = {"count": 4, "jitter": 0.5, "erase": 0.5, "border": "grey"}
STEPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "several": {"pictures": 3},
    "tile": {"tile": True},
    "losses": {"losses": {"tv": "1", "near_start": "1", "saturation": "1"}},
    "losses by name": {
        "losses": {
            "symmetry": {"axis": "both"},
            "edges": 1,
            "vignette": 1,
            "contrast": 1,
            "detail": 1,
            "tv": {"weight": 1, "form": "clipped"},
            "palette": {"colours": ["red", "blue"]},
        }
    },
    "rates that fall": {"optimizer": {"drops": ["1i"]}, "plateau": {"patience": 1, "drops": 1}},
    "filters": {"filters": ["tile", "wrap", "rotate:3", "lookup:pico8"]},
    "chances": {"cutouts": EVERY_CHANCE},
    "recomputed": {"recompute": True},
    "negative": {"prompts": ["a red apple | fog:-0.5:-0.7"]},
    "bf16": {"precision": "bfloat16"},
    "every filter with a table": {"filters": ["wallpaper:p4m", "wallpaper:p6", "clut:init.png"]},
    "structure": {"init": "init.png", "losses": {"structure": 1}},
    "style": {"losses": {"style": {"image": "init.png"}}},
    "style by a VGG": {
        "losses": {"style": {"image": "init.png", "network": "vgg.safetensors", "distance": "sliced"}}
    },
    "heads": {"losses": {"head": {"file": "head.safetensors"}}, "pictures": 2},
    "transparent": {"transparent": "1", "losses": {"tv": 1, "near_start": 1}, "pictures": 2},
    "transparent tile": {"transparent": "1", "tile": True},
    "fft": {"drawer": "fft", "pictures": 2},
    "lines": {"drawer": {"name": "lines", "strokes": 4, "fills": 2}, "pictures": 2},
    "recomputed lines": {"drawer": {"name": "lines", "strokes": 4, "fills": 2}, "recompute": True},
    "pixel": {"drawer": {"name": "pixel", "shape": "hex", "pixels": "6x5"}},
    "pyramid": {"drawer": "pyramid", "tile": True, "pictures": 2},
    "regions": {"prompts": ["a red apple @ left | an owl @ not 0,0,.5,.5 | fog"]},
    "mask": {"init": "init.png", "extend": "left=4"},
    "near": {
        "init": "init.png",
        "losses": {"near_init": 1, "init_meaning": 1, "near_images": {"targets": ["init.png"]}},
    },
}


@pytest.mark.parametrize("given", STEPS.values(), ids=STEPS)
def test_a_step_waits_for_no_number(given: dict[str, Any], tiny: Tiny) -> None:
    """And copies once from the CPU: what was drawn by chance."""
    settings = dict(given)
    Image.new("RGB", (8, 8)).save("init.png")
    write_vgg(Path("vgg.safetensors"))
    write_head(Path("head.safetensors"))
    images, recompute = settings.pop("pictures", 1), settings.pop("recompute", False)
    pipeline = Pipeline(tiny(**settings), CPU)
    pipeline._budget.recompute = recompute
    watch, states = take_two(pipeline, images)
    assert watch.copies == COPIES
    assert all(state.latent.z.is_meta and state.step == 2 for state in states)


@pytest.mark.parametrize("name", ["adam", "nadam", "sgd", "rmsprop"])
def test_so_does_every_optimisers(name: str, tiny: Tiny) -> None:
    watch, _ = take_two(Pipeline(tiny(optimizer={"name": name}), CPU), 1)
    assert watch.copies == COPIES


def test_so_do_perceptors_at_crops_of_two_sizes(tiny: Tiny, other_clip: Path) -> None:
    models = tiny().perceptors[0].model, str(other_clip)
    config = tiny(perceptors=[{"model": model} for model in models], cutouts={"count": 4, "noise": 0.1})
    watch, _ = take_two(Pipeline(config, CPU), 1)
    assert watch.copies == COPIES


class TestTheWatch:
    def test_sees_a_copy_and_whose_it_is(self) -> None:
        with Watch() as watch:
            motion.sample(torch.ones(1, 3, 4, 4, device=META), torch.zeros(1, 4, 4, 2), "black")
        assert watch.copies == {"vqclip.guidance.motion.sample": 1}

    def test_sees_a_read_and_whose_it_is(self) -> None:
        step = Step(1, 0, 1, 1, {"a": torch.ones((), device=META)}, torch.ones(1))
        with Watch(), pytest.raises(AssertionError, match=r"a step reads: .* in vqclip\.pipeline\.events"):
            numbers(step)
