"""The learning rate falls at set moments and at a plateau, which says so and why; stills are kept."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEVICE, Tiny, Vqclip, paint

from vqclip.base.errors import ConfigError
from vqclip.base.stop import StopToken
from vqclip.config import resolve as configs
from vqclip.config.schedule import Moment, Schedule
from vqclip.config.schema import Config
from vqclip.guidance.optimize import Step
from vqclip.pipeline.events import Event, Finished, PlateauReached, StillSaved
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import RenderRequest, render, render_batch
from vqclip.runs.run import Run

# Nothing counts as an improvement.
FLAT: dict[str, Any] = {"patience": 3, "improvement": 1000.0}


def events(config: Config, run: Run | None = None, stop: StopToken | None = None) -> list[Event]:
    return list(render(config, Pipeline(config, DEVICE), run, stop))


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("75%", 75),
        ("75p", 75),
        ("20i", 20),
        ("20 iterations", 20),
        ("20 steps", 20),
        ("1 iteration", 1),
        ("0%", 0),
    ],
)
def test_moments_in_the_units_of_other_programs(text: str, step: float) -> None:
    assert Moment.parse(text, "optimizer.drops").step(101) == step
    assert Schedule.parse(f"{text}: 2, 100%: 2") == Schedule.parse(f"{text}:2, 100p:2")


@pytest.mark.parametrize("text", ["75", "x", "", "-3i", "1e3i"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.drops: .* is no moment; write a share as in 75%"):
        configs.resolve({"optimizer": {"drops": [text]}})


def test_the_rate_falls_at_each_moment(tiny: Tiny) -> None:
    config = tiny(optimizer={"learning_rate": "0.4", "drops": ["50%", "8i"], "drop_factor": 0.5}, steps=11)
    pipeline = Pipeline(config, DEVICE)
    objective = pipeline.objective(pipeline.film.frame(0))
    shares = [objective.rate_at(i, 11) / objective.stride / 0.4 for i in range(11)]
    assert shares == pytest.approx([1] * 5 + [0.5] * 3 + [0.25] * 3)


def test_a_rate_that_fell_to_nothing_changes_nothing(tiny: Tiny) -> None:
    seen: list[Step] = []
    config = tiny(
        optimizer={"learning_rate": "0.4", "drops": ["3i"], "drop_factor": 0},
        latent={"stages": [{"scale": 1, "share": 1}]},
        drawer="fft",
    )
    paint(config, None, seen.append)
    same = [bool((a.image == b.image).all()) for a, b in itertools.pairwise(seen)]
    assert same == [False, False, False, True, True]


class TestPlateau:
    def test_drops_the_rate_and_then_ends(self, tiny: Tiny) -> None:
        config = tiny(plateau=FLAT | {"drops": 2}, steps=50)
        reached = [event for event in events(config) if isinstance(event, PlateauReached)]
        assert [(event.step, event.factor) for event in reached] == [(4, 0.1), (7, 0.1), (10, None)]
        assert (
            str(reached[-1]) == "stopped early at step 10: the loss fell by less than 100000.00% in 3 steps"
        )

    def test_says_nothing_where_the_last_step_was_taken(self, tiny: Tiny) -> None:
        assert not [event for event in events(tiny()) if isinstance(event, PlateauReached)]

    def test_without_drops_ends_at_once(self, tiny: Tiny) -> None:
        reached = [
            event for event in events(tiny(plateau=FLAT, steps=50)) if isinstance(event, PlateauReached)
        ]
        assert [(event.step, event.factor) for event in reached] == [(4, None)]

    def test_a_dropped_rate_is_a_smaller_step(self, tiny: Tiny) -> None:
        """Of nothing times the rate, the image stays."""
        seen: list[Step] = []
        config = tiny(
            plateau=FLAT | {"drops": 1}, steps=50, optimizer={"drop_factor": 0, "learning_rate": "0.4"},
            latent={"stages": [{"scale": 1, "share": 1}]}, drawer="fft",
        )  # fmt: skip
        paint(config, None, seen.append)
        same = [bool((a.image == b.image).all()) for a, b in itertools.pairwise(seen)]
        assert same == [False] * 4 + [True] * 2

    def test_a_stopped_run_goes_on_with_its_drops(self, tiny: Tiny, tmp_path: Path) -> None:
        config = tiny(plateau=FLAT | {"drops": 2}, steps=50)
        whole = paint(config)
        run, stop = Run.create(tmp_path, config, {}), StopToken()
        for event in render(config, Pipeline(config, DEVICE), run, stop):
            if isinstance(event, PlateauReached):
                stop.stop()
        rest = events(config, run)
        assert [event.step for event in rest if isinstance(event, PlateauReached)] == [7, 10]
        (finished,) = (event.result for event in rest if isinstance(event, Finished))
        assert finished.steps == whole.steps == 10
        assert np.array_equal(np.asarray(finished.image), np.asarray(whole.image))

    def test_each_image_of_a_batch_has_its_own(self, tiny: Tiny) -> None:
        given = {"plateau": {"patience": 2, "improvement": 0.02, "drops": 1}, "steps": 40}
        configs_ = [tiny(seed=seed, **given) for seed in (1, 2)]
        made = render_batch([RenderRequest(config) for config in configs_], Pipeline(configs_[0], DEVICE))
        together = [event for event in made if isinstance(event, PlateauReached)]
        for config in configs_:
            alone = [event for event in events(config) if isinstance(event, PlateauReached)]
            assert [event for event in together if event.seed == config.seed] == alone
            assert len(alone) == 2

    def test_the_command_says_so(self, vqclip: Vqclip, tiny_vqgan: Path, tiny_clip: Path) -> None:
        models = [
            "--set",
            f"vqgan={tiny_vqgan}",
            "--set",
            f"perceptors=[{{model: {tiny_clip}}}]",
            "--set",
            "start=grey",
        ]
        plateau = ["--set", "plateau={patience: 2, improvement: 1000, drops: 1}"]
        done = vqclip("generate", "a", "--size", "16x16", "--steps", 30, *models, *plateau)
        lines = [line for line in done.err.splitlines() if line.startswith("plateau")]
        assert [" ".join(line.split()[1:5]) for line in lines] == [
            "learning rate x 0.1",
            "stopped early at step",
        ]


def test_stills_are_kept_in_the_run_folder(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(save_every=4, steps=9)
    run = Run.create(tmp_path, config, {})
    made = events(config, run)
    assert [event.path.name for event in made if isinstance(event, StillSaved)] == [
        "000004.png",
        "000008.png",
    ]
    assert all(event.path.is_file() for event in made if isinstance(event, StillSaved))
    (finished,) = (event.result for event in made if isinstance(event, Finished))
    assert np.array_equal(np.asarray(paint(tiny(steps=9)).image), np.asarray(finished.image))


def test_films_name_the_frame_of_a_still(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(save_every=2, steps=2, film={"frames": 2, "steps": 2})
    run = Run.create(tmp_path, config, {})
    events(config, run)
    assert sorted(path.name for path in (run.folder / "steps").iterdir()) == [
        "000000-000002.png",
        "000001-000002.png",
    ]
