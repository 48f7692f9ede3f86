"""Each drawer that needs no model starts, tiles, zooms, tells stories, and goes on after a stop to the same pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Tiny, paint

from vqclip.base.stop import StopToken
from vqclip.guidance.optimize import Step
from vqclip.pipeline.pipeline import Pipeline
from vqclip.runs.run import Run

DRAWERS: dict[str, Any] = {
    "fft": "fft",
    "pyramid": "pyramid",
    "lines": {"name": "lines", "strokes": 8, "fills": 3},
    "pixel": "pixel",
    "hexagons": {"name": "pixel", "shape": "hex", "pixels": "6x4"},
    "triangles": {"name": "pixel", "shape": "triangle", "pixels": "6x4"},
}
KINDS: dict[str, dict[str, Any]] = {
    "still": {},
    "codes": {"start": "codes", "size": "20x13"},
    "grey": {"start": "grey", "losses": {"near_start": 0.1}},
    "tile": {"tile": True, "size": "16x18"},
    "zoom": {"film": {"frames": 3, "steps": 3}, "motion": {"zoom": "1.1", "turn": "5", "border": "paint"}},
    "story": {"prompts": ["a ^ b"], "story": {"frames": 2}, "film": {"steps": 3}},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("drawer", ["lines", "pixel", "pyramid"])
def test_a_stopped_painting_goes_on_to_the_same_pixels(
    tiny: Tiny, tmp_path: Path, drawer: str, kind: str
) -> None:
    if (drawer, kind) == ("lines", "tile"):
        pytest.skip("curves end at the border")
    config = tiny(drawer=DRAWERS[drawer], **KINDS[kind])
    whole = paint(config, Run.create(tmp_path, config, {}))
    run = Run.create(tmp_path, config, {})
    frame, index = (1, 2) if config.is_film else (0, 3)
    stop = StopToken()

    def stop_there(step: Step) -> None:
        if (step.frame, step.index) == (frame, index):
            stop.stop()

    paint(config, run, stop_there, stop=stop)
    assert run.record() is None
    assert np.array_equal(np.asarray(paint(config, run).image), np.asarray(whole.image))
    assert whole.image.size == (config.width, config.height)


@pytest.mark.parametrize("drawer", DRAWERS)
def test_a_latent_has_the_shape_that_was_asked_for(tiny: Tiny, drawer: str) -> None:
    """Whether it is encoded, drawn by chance or resampled; decoding gives images of the size that it said."""
    config = tiny(drawer=DRAWERS[drawer], size="20x13")
    drawn = config.drawer.open(Pipeline(config, torch.device("cpu")).models, torch.float32, 20, 13, False)
    generator, image = torch.Generator().manual_seed(1), torch.rand(1, 3, 30, 30)
    whole, half = drawn.latent_shape(), drawn.latent_shape(0.5)
    latents = [drawn.encode(image, half), drawn.random_latent(half, generator)]
    latents += [drawn.resize(latents[0], *whole), drawn.encode(image, whole)]
    for z, shape in zip(latents, [half, half, whole, whole], strict=True):
        assert z.shape[2:] == shape
        drawn.project(z)
        decoded = drawn.decode(torch.cat([z, z]))
        assert decoded.shape == (2, 3, *drawn.drawn_size(shape))
        assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1
    assert drawn.decode_output(latents[-1]).shape == (1, 3, 13, 20)


@pytest.mark.parametrize("drawer", DRAWERS)
def test_a_step_asks_for_no_more_memory_than_was_estimated(tiny: Tiny, drawer: str) -> None:
    """What autograd keeps of one decoding."""
    config = tiny(drawer=DRAWERS[drawer], size="96x64")
    pipeline = Pipeline(config, torch.device("cpu"))
    drawn = config.drawer.open(pipeline.models, torch.float32, 96, 64, False)
    z = drawn.random_latent(drawn.latent_shape(), torch.Generator().manual_seed(1)).requires_grad_()
    kept: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        drawn.decode(z)
    estimated = config.drawer.memory(96, 64, 1, torch.float32, pipeline._budget, torch.device("cpu"))
    assert sum(kept.values()) <= sum(estimated)
