"""Several pictures as one batch: each is what it is alone, but for rounding, and none waits for another's end."""

import json
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import DEVICE, Tiny, Vqclip
from torch import Tensor

from vqclip.base.stop import StopToken
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.config.timeline import Film
from vqclip.guidance.memory import MemoryBudget, best_batch_size
from vqclip.guidance.memory_estimate import estimate
from vqclip.guidance.optimize import optimize, take_step
from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor
from vqclip.guidance.state import State
from vqclip.media.image import load_image, read_metadata, save_png, to_pil
from vqclip.pipeline.events import Stepped, Stopped
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import RenderRequest, render_batch
from vqclip.runs.run import Run

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("device")
SEEDS = (3, 11, 4)


class Atelier:
    """A pipeline, and the states of pictures by their seeds."""

    def __init__(self, config: Config, seeds: Sequence[int] = SEEDS):
        self.pipeline = Pipeline(config, DEVICE)
        self.frame = self.pipeline.film.frame(0)
        self.studio = self.pipeline.objective(self.frame)
        self.states = [self.pipeline.begin(self.frame, self.studio, seed) for seed in seeds]

    def gradients(self, states: Sequence[State]) -> list[Tensor]:
        """Of one step, as the optimisers are given them."""
        seen: list[Tensor] = []
        for state in states:
            state.optimizer.register_step_pre_hook(lambda *_, z=state.latent.z: seen.append(z.grad.clone()))
        take_step(self.frame, self.studio, states)
        return seen


@pytest.mark.parametrize("chunk", [64, 3])
@pytest.mark.parametrize("recompute", [False, True])
def test_each_has_the_gradient_that_it_has_alone(tiny: Tiny, chunk: int, recompute: bool) -> None:
    """With crops, noise and a tile's turns by its own seed, through two perceptors and every penalty."""
    config = tiny(
        tile=True,
        perceptors=[{"model": tiny().perceptors[0].model}, {"model": tiny().perceptors[0].model, "crops": 7}],
        losses={"tv": "0.3", "near_start": "0.2", "saturation": "0.1"},
    )
    batch = Atelier(config)
    batch.studio.budget.chunk, batch.studio.budget.recompute = chunk, recompute
    batch_size = batch.gradients(batch.states)
    for seed, gradient in zip(SEEDS, batch_size, strict=True):
        single = Atelier(config, [seed])
        (alone,) = single.gradients(single.states)
        torch.testing.assert_close(gradient, alone, rtol=1e-3, atol=1e-6)


def test_decodes_once_a_step_for_all(tiny: Tiny) -> None:
    batch, batches = Atelier(tiny(steps=4)), []
    batch.studio.drawer.vqgan.decoder.register_forward_hook(
        lambda _, given, __: batches.append(len(given[0]))
    )
    steps = list(optimize(batch.frame, batch.studio, batch.states))
    assert batches == [3] * 4
    assert [[step.seed for step in each] for each in steps] == [list(SEEDS)] * 4


def test_one_that_has_settled_is_left_alone(tiny: Tiny) -> None:
    batch = Atelier(tiny(steps=20, plateau={"patience": 3, "improvement": 10.0}))
    batch.states[1].plateau.since = 3
    untouched = batch.states[1].latent.z.clone()
    steps = list(optimize(batch.frame, batch.studio, batch.states))
    assert all([step.seed for step in each] == [3, 4] for each in steps)
    assert [state.step for state in batch.states] == [4, 0, 4]
    assert torch.equal(batch.states[1].latent.z, untouched)


def test_a_shortage_first_parts_the_company(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four crops of each of three pictures find no room, those of one do; nothing else is spared then."""
    embed = OpenCLIPPerceptor.embed_crops

    def cramped(self: OpenCLIPPerceptor, pixels: Tensor) -> Tensor:
        if len(pixels) > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return embed(self, pixels)

    monkeypatch.setattr(OpenCLIPPerceptor, "embed_crops", cramped)
    batch, single = Atelier(tiny()), Atelier(tiny(), SEEDS[1:2])
    assert len(list(optimize(batch.frame, batch.studio, batch.states))) == 6
    assert batch.studio.budget == MemoryBudget(16, batch_size=1)
    assert len(list(optimize(single.frame, single.studio, single.states))) == 6
    assert torch.equal(batch.states[1].latent.z, single.states[0].latent.z)


def test_how_many_are_best_depends_on_their_size(tiny: Tiny) -> None:
    """A film's frames follow each other; a picture of any size is at least painted."""
    small, large, huge = (
        best_batch_size(tiny(size=size), 32, CPU) for size in ("128x128", "256x256", "2048x2048")
    )
    assert small == 4 * large > huge == 1
    assert best_batch_size(tiny(size="128x128", film={"frames": 2}), 32, CPU) == 1


def test_the_estimate_grows_with_the_company(tiny: Tiny) -> None:
    config = tiny()
    one, two, four = (
        estimate(config, Film(config).frame(0), torch.float32, MemoryBudget(), images) for images in (1, 2, 4)
    )
    assert one.weights == two.weights == four.weights
    assert (two.decoder, four.decoder) == (2 * one.decoder, 4 * one.decoder)
    assert four.perceptors[0] - two.perceptors[0] == 2 * (two.perceptors[0] - one.perceptors[0]) > 0


def test_an_interruption_leaves_each_to_go_on_with(tiny: Tiny, tmp_path: Path) -> None:
    outputs = [tiny(seed=seed) for seed in SEEDS]
    requests, stop = (
        [RenderRequest(config, Run.create(tmp_path, config, {})) for config in outputs],
        StopToken(),
    )
    stopped = []
    for event in render_batch(requests, Pipeline(outputs[0], DEVICE), stop):
        if isinstance(event, Stepped) and event.step.index == 3:
            stop.stop()
        if isinstance(event, Stopped):
            stopped.append(event.result)
    assert [(made.seed, made.steps) for made in stopped] == [(seed, 3) for seed in SEEDS]
    for request, seed in zip(requests, SEEDS, strict=True):
        assert request.run
        state = request.run.restore(Pipeline(request.config, DEVICE).make_optimizer, DEVICE)
        assert state
        assert (state.seed, state.step) == (seed, 3)
        assert read_metadata(request.run.image)["config"]["seed"] == seed


@pytest.fixture
def painted(vqclip: Vqclip, tiny: Tiny, tmp_path: Path) -> Any:
    """Five pictures from the command line, with more words; they are returned."""
    values = configs.to_dict(tiny())
    del values["prompts"], values["seed"]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values))

    def paint(*words: str) -> Any:
        return vqclip(
            "generate", "a", "-c", str(tmp_path / "tiny.yaml"), "--seed", "7", "--count", "5", *words
        )

    return paint


class TestCommand:
    def test_a_picture_says_who_was_painted_with_it(self, painted: Any) -> None:
        done = painted("--batch-size", "3", "-o", "a.png")
        assert [line for line in done.lines if Path(line).is_file()] == [
            f"a-{seed}.png" for seed in range(7, 12)
        ]
        assert [read_metadata(Path(line))["together"] for line in done.lines] == [[7, 8, 9]] * 3 + [
            [10, 11]
        ] * 2
        assert len(re.findall(r"made +6 steps in [\d.]+ s, [23] images", done.err)) == 2

    def test_one_at_a_time_is_as_if_each_were_asked_for(self, painted: Any, vqclip: Vqclip) -> None:
        several, single = painted("--batch-size", "1").lines, painted("--seed", "9", "--count", "1").lines
        assert Path(several[2]).read_bytes() == Path(single[0]).read_bytes()
        assert "together" not in read_metadata(Path(several[2]))

    def test_the_company_changes_no_more_than_rounding(self, painted: Any) -> None:
        pairs = zip(painted("--batch-size", "5").lines, painted("--batch-size", "1").lines, strict=True)
        assert (
            max(float((load_image(Path(a)) - load_image(Path(b))).abs().max()) for a, b in pairs) <= 2 / 255
        )

    def test_reproduce_asks_the_same_company(self, painted: Any, vqclip: Vqclip) -> None:
        """And no other picture is left behind."""
        image = painted("--batch-size", "5").lines[3]
        folders = len(list(Path("runs").iterdir()))
        done = vqclip("reproduce", image, "--json")
        assert json.loads(done.out)["same"]
        assert json.loads(done.out)["seed"] == 10
        assert len(list(Path("runs").iterdir())) == folders + 1

    @pytest.mark.parametrize("seeds", [7, ["7", 8], [8, 9], [7, 7], [True, 7], list(range(100)), None])
    def test_reproduce_believes_no_company_that_cannot_be(
        self, painted: Any, vqclip: Vqclip, seeds: Any
    ) -> None:
        """Whoever made the file, the picture is painted alone."""
        (image,) = painted("--count", "1").lines
        metadata = read_metadata(Path(image)) | {"together": seeds}
        save_png(to_pil(load_image(Path(image))), Path("b.png"), metadata)
        assert json.loads(vqclip("reproduce", "b.png", "--json").out)["same"]

    def test_resume_says_that_it_goes_on_alone(
        self, painted: Any, vqclip: Vqclip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(
                "vqclip.cli.display.report.PlainReport.step",
                lambda _, step: os.kill(os.getpid(), signal.SIGINT),
            )
            stopped = painted("--batch-size", "2")
        assert stopped.code == 130
        folders = re.findall(r"stopped at step 1 of 6; go on with: vqclip resume (\S+)", stopped.err)
        assert len(folders) == 2
        done = vqclip("resume", folders[1])
        assert done.code == 0
        assert "goes on alone" in done.err

    def test_the_plan_says_how_many_and_what_they_need(self, painted: Any) -> None:
        plans = [json.loads(painted("--plan", "--json", "--batch-size", k).out) for k in ("1", "4")]
        assert [plan["batch size"] for plan in plans] == ["1 at once", "4 at once"]
        assert json.loads(painted("--plan", "--json").out)["batch size"] == "5 at once"
        assert "batch size" not in json.loads(painted("--plan", "--json", "--count", "1").out)

    def test_videos_of_each(self, painted: Any) -> None:
        done = painted("--count", "2", "--batch-size", "2", "--video", "-o", "a.png")
        assert done.code == 0
        assert len(list(Path("runs").glob("*/*.mp4"))) + len(list(Path().glob("*.mp4"))) >= 2
