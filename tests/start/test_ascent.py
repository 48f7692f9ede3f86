"""The start `ascent` comes nearer to the prompt than grey, is the same each time, and is made anew after a stop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Tiny, paint

from vqclip.base.stop import StopToken
from vqclip.config.schema import Config
from vqclip.guidance.optimize import take_step
from vqclip.pipeline.events import Stepped, Stopped
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import RenderRequest, render, render_batch
from vqclip.runs.run import Run

CPU = torch.device("cpu")
ASCENT = {"name": "ascent", "steps": 12, "side": 16}


def first_image(pipeline: Pipeline, index: int = 0, seed: int = 1) -> torch.Tensor:
    frame = pipeline.film.frame(index)
    return pipeline.first_image(frame, pipeline._generator(frame, seed))


def stop_the_ascent(stop: StopToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop when the ascent has taken three of its steps."""
    taken = 0

    def counted(*given: object) -> object:
        nonlocal taken
        taken += 1
        if taken == 3:
            stop.stop()
        return take_step(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("vqclip.guidance.optimize.take_step", counted)


def loss(config: Config) -> float:
    """Give the loss of a Config's first image."""
    steps = (event.step for event in render(config, Pipeline(config, CPU)) if isinstance(event, Stepped))
    return float(next(steps).loss)


def test_is_nearer_to_the_prompt_than_grey(tiny: Tiny) -> None:
    given = {"steps": 1, "losses": {}, "cutouts": {"count": 64}, "drawer": "pixel"}
    ascent = {**ASCENT, "steps": 60}
    assert loss(tiny(start=ascent, **given)) < loss(tiny(start="grey", **given))


def test_is_the_same_for_a_seed_and_another_for_another(tiny: Tiny) -> None:
    config = tiny(start=ASCENT)
    image = first_image(Pipeline(config, CPU))
    assert torch.equal(first_image(Pipeline(config, CPU)), image)
    assert not torch.equal(first_image(Pipeline(config, CPU), seed=2), image)


def test_frames_of_a_scene_share_one_image_and_those_of_another_do_not(tiny: Tiny) -> None:
    """The prompts of the frames in a fade differ; the image does not, whichever frame asks for it first."""
    pipeline = Pipeline(tiny(prompts=["a ^ b"], story={"frames": 4, "fade": 0.75}, start=ASCENT), CPU)
    first, fading = first_image(pipeline), first_image(pipeline, 4)
    assert torch.equal(first_image(pipeline, 5), fading)
    assert torch.equal(first_image(Pipeline(pipeline.config, CPU), 5), fading)
    assert not torch.equal(first, fading)


def test_has_the_side_that_is_given_and_is_enlarged_to_the_size(tiny: Tiny) -> None:
    config = tiny(start=ASCENT, size="48x24")
    ascent = config.start.config(config)  # type: ignore[attr-defined]
    assert (ascent.width, ascent.height, ascent.steps, ascent.prompts) == (16, 8, 12, config.prompts)
    assert first_image(Pipeline(config, CPU)).shape == (1, 3, 24, 48)


def test_stopped_in_the_start_goes_on_to_the_same_pixels(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same process too, whose pipeline may keep only a whole start."""
    config, stop = tiny(start=ASCENT), StopToken()
    whole, run, pipeline = paint(config), Run.create(tmp_path, config, {}), Pipeline(config, CPU)
    with monkeypatch.context() as patch:
        stop_the_ascent(stop, patch)
        *_, last = render(config, pipeline, run, stop)
    assert isinstance(last, Stopped)
    assert last.result.steps == 0
    assert run.image.is_file()
    assert not list(run.folder.glob("snapshot*"))
    *_, last = render(config, pipeline, run)
    assert np.array_equal(np.asarray(last.result.image), np.asarray(whole.image))  # type: ignore[union-attr]


def test_a_batch_stopped_in_the_start_leaves_no_snapshot(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds, stop = [tiny(start=ASCENT, seed=seed) for seed in (1, 2)], StopToken()
    requests = [RenderRequest(config, Run.create(tmp_path, config, {})) for config in seeds]
    stop_the_ascent(stop, monkeypatch)
    last = [e.result for e in render_batch(requests, Pipeline(seeds[0], CPU), stop) if isinstance(e, Stopped)]
    assert [(made.seed, made.steps) for made in last] == [(1, 0), (2, 0)]
    assert not list(tmp_path.rglob("snapshot*"))


def test_says_that_it_takes_steps_of_its_own(tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "vqclip"):
        first_image(Pipeline(tiny(start=ASCENT), CPU))
    assert "the start first takes 12 steps of its own" in caplog.text
