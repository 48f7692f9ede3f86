"""Films: interrupted or not they have the same frames, they move and loop as asked, and they remember their source."""

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Tiny, Vqclip, paint
from PIL import Image
from safetensors.torch import load_file

from vqclip.base.errors import ConfigError, UsageError
from vqclip.base.stop import StopToken
from vqclip.config.schema import Config
from vqclip.config.timeline import Film
from vqclip.guidance.optimize import Step
from vqclip.guidance.state import State
from vqclip.media.image import read_metadata
from vqclip.media.video_reader import VideoReader
from vqclip.media.video_writer import VideoWriter
from vqclip.pipeline import render as rendering
from vqclip.pipeline.events import Stepped
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import render
from vqclip.runs.run import Run, read_config

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("device")


def make(config: Config, folder: Path, stop_at: tuple[int, int] | None = None) -> Run:
    """The run of a film, stopped at a frame's step if that is given."""
    run, stop = Run.open(folder, config, {}), StopToken()

    def act(step: Step) -> None:
        if (step.frame, step.index) == stop_at:
            stop.stop()

    paint(config, run, act, stop=stop)
    return run


def paint_and_be_killed(folder: Path) -> None:
    """Go on with a film, and be killed after the third frame's second step; a snapshot of its first is there."""
    config = read_config(folder)
    vars(rendering)["SNAPSHOT_EVERY"] = 0.0
    for event in render(config, Pipeline(config, CPU), Run.open(folder, config, {})):
        if isinstance(event, Stepped) and (event.step.frame, event.step.index) == (2, 2):
            os.kill(os.getpid(), signal.SIGKILL)


def frames(run: Run) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in run.frames.images]


def latents(run: Run) -> list[torch.Tensor]:
    return [load_file(path)["z"] for path in sorted(run.folder.glob("latents/*.safetensors"))]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of seven frames, a light square that goes to the right over a dark ground."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 32, 32, 10, {}, "clip") as video:
        for i in range(7):
            pixels = np.full((32, 32, 3), 40, np.uint8)
            pixels[10:22, 3 * i : 3 * i + 12] = 220
            video.write(Image.fromarray(pixels))
    return path


KINDS: dict[str, dict[str, Any]] = {
    "story": {"prompts": ["a ^ b"], "story": {"frames": 3}},
    "zoom": {"film": {"frames": 5, "steps": 3}, "motion": {"zoom": "1.1", "turn": "3", "border": "paint"}},
    "loop": {"film": {"frames": 4, "steps": 2, "loop": True, "overlap": 2, "window": 3}},
    "restyle": {"film": {"steps": 3, "window": 3}, "source": {"flow": True, "every": 2}},
    "all": {
        "prompts": ["a ^ b"], "film": {"steps": 2, "frames": 4}, "story": {"frames": 2},
        "motion": {"right": "3", "border": "wrap"}, "source": {"pull": "0.5"},
    },
}  # fmt: skip


@pytest.fixture(params=KINDS)
def film(request: pytest.FixtureRequest, tiny: Tiny, clip: Path) -> Config:
    settings = KINDS[request.param]
    if "source" in settings:
        settings = settings | {"source": settings["source"] | {"video": str(clip)}}
    return tiny(**{"size": "20x16", "steps": 4, **settings})


class TestResumed:
    def test_is_as_if_it_had_never_been_interrupted(self, film: Config, tmp_path: Path) -> None:
        """In the middle of a frame, or at its end: the same frames, latents and number of pictures in the video."""
        whole = make(film, tmp_path / "whole")
        for place in ((0, 2), (1, 2), (2, 1), (3, 1)):
            folder = tmp_path / f"cut at {place}"
            assert make(film, folder, place).record() is None, place
            cut = make(film, folder)
            assert len(frames(cut)) == len(frames(whole)) == VideoReader(cut.video).count, place
            assert all(map(np.array_equal, frames(cut), frames(whole))), place
            assert all(map(torch.equal, latents(cut), latents(whole))), place

    @pytest.mark.parametrize("kind", ["zoom", "restyle"])
    def test_survives_a_kill(self, kind: str, tiny: Tiny, clip: Path, tmp_path: Path, forks: Any) -> None:
        """SIGKILL in the middle of the third frame; `vqclip resume` ends it."""
        settings = {"size": "20x16", "steps": 4, **KINDS[kind]}
        if kind == "restyle":
            settings["source"] = settings["source"] | {"video": str(clip)}
        config = tiny(**settings)
        whole = make(config, tmp_path / "whole")
        Run.open(tmp_path / "killed", config, {})
        died = forks.Process(target=paint_and_be_killed, args=(tmp_path / "killed",))
        died.start()
        died.join()
        assert died.exitcode == -signal.SIGKILL
        killed = make(config, tmp_path / "killed")
        assert all(map(np.array_equal, frames(killed), frames(whole)))
        assert VideoReader(killed.video).count == len(frames(whole))
        assert not list(killed.folder.rglob(".*.????????"))


class TestStory:
    def test_latents_go_on_from_frame_to_frame(self, tiny: Tiny, tmp_path: Path) -> None:
        """Neighbours are nearer to each other than to the first."""
        run = make(
            tiny(
                prompts=["a ^ b"], story={"frames": 4, "fresh": 0}, film={"steps": 3, "learning_rate": "0.05"}
            ),
            tmp_path / "r",
        )
        z = latents(run)
        near = max(float((a - b).abs().mean()) for a, b in itertools.pairwise(z))
        assert near < float((z[-1] - z[0]).abs().mean())

    def test_a_new_scene_brings_its_own_beginning_with_it(self, tiny: Tiny, tmp_path: Path) -> None:
        """With none of it the first faded frame goes on from the last; with all of it, it begins anew."""
        pipelines = {
            fresh: Pipeline(tiny(prompts=["a ^ b"], story={"frames": 4, "fresh": fresh}, start="grey"), CPU)
            for fresh in (0.0, 1.0)
        }
        starts = {}
        for fresh, pipeline in pipelines.items():
            frame = pipeline.film.frame(4)
            objective = pipeline.objective(frame)
            z = objective.drawer.random_latent(
                objective.drawer.latent_shape(), torch.Generator().manual_seed(0)
            )
            state = State.begin(z, pipeline.make_optimizer, 1)
            starts[fresh] = pipeline.go_on(state, frame, objective).latent.z.detach()
        grey = objective.drawer.encode(torch.full((1, 3, 16, 16), 0.5), objective.drawer.latent_shape())
        assert torch.equal(starts[0.0], z)
        assert torch.equal(starts[1.0], grey)

    def test_every_frame_says_what_it_is(self, tiny: Tiny, tmp_path: Path) -> None:
        config = tiny(prompts=["a ^ b"], story={"frames": 2}, film={"steps": 1})
        run = make(config, tmp_path / "r")
        metadata = [read_metadata(path) for path in run.frames.images]
        assert [fact["frame"] for fact in metadata] == [0, 1, 2, 3]
        assert all(fact["config"]["prompts"] == ["a ^ b"] for fact in metadata)

    def test_a_film_needs_a_folder(self, tiny: Tiny) -> None:
        config = tiny(prompts=["a ^ b"])
        with pytest.raises(UsageError, match="need a folder"):
            paint(config)


class TestSource:
    def test_count_and_rate_are_the_sources(self, tiny: Tiny, clip: Path, tmp_path: Path) -> None:
        run = make(tiny(source={"video": str(clip)}, film={"steps": 1}, steps=1), tmp_path / "r")
        made, source = VideoReader(run.video), VideoReader(clip)
        assert (made.count, made.fps) == (source.count, source.fps) == (7, 10)

    def test_a_strong_pull_stays_with_the_source(self, tiny: Tiny, clip: Path, tmp_path: Path) -> None:
        """The stronger, the nearer is the last frame's latent to the source's own."""
        away = []
        for pull in ("0", "1", "30"):
            config = tiny(source={"video": str(clip), "pull": pull}, size="32x32", film={"steps": 4})
            z, pipeline = latents(make(config, tmp_path / pull))[-1], Pipeline(config, CPU)
            objective = pipeline.objective(pipeline.film.frame(6))
            source = objective.drawer.encode(
                list(VideoReader(clip).frames())[6], objective.drawer.latent_shape()
            )
            away.append(float((z - source).square().mean()))
        assert away[0] > away[1] > away[2]

    def test_no_frame_of_the_source_is_kept(self, tiny: Tiny, clip: Path) -> None:
        """Two pictures at the most, however long the video is."""
        pipeline = Pipeline(tiny(source={"video": str(clip)}), CPU)
        source = pipeline.source
        assert source is not None
        images = [source.image(i) for i in (0, 1, 2, 1, 2, 6, 0)]
        truth = list(VideoReader(clip).frames())
        assert all(map(torch.equal, images, [truth[i] for i in (0, 1, 2, 1, 2, 6, 0)]))
        assert len(source._near) <= 2


class TestTile:
    def test_is_the_same_picture_wherever_it_is_cut(self, tiny: Tiny, tmp_path: Path) -> None:
        """Latents turned around by some cells draw the picture turned around."""
        pipeline = Pipeline(tiny(tile=True, size="32x32"), CPU)
        drawer = pipeline.objective(Film(pipeline.config).frame(0)).drawer
        z = drawer.random_latent((16, 16), torch.Generator().manual_seed(0))
        off = [
            float((draw(z).roll((10, 6), (2, 3)) - draw(z.roll((5, 3), (2, 3)))).abs().mean())
            for draw in (drawer.decode_output, drawer.decode)
        ]
        assert off[0] < 0.25 * off[1]

    def test_its_sides_are_whole_cells(self, tiny: Tiny) -> None:
        with pytest.raises(ConfigError, match=r"multiples of 2, as in 32x32"):
            Pipeline(tiny(tile=True, size="33x32"), CPU)


class TestCommands:
    """On tiny models, named in a config file."""

    @pytest.fixture
    def settings(self, tiny: Tiny, tmp_path: Path) -> list[str]:
        from vqclip.config import resolve as configs  # noqa: PLC0415

        path = tmp_path / "tiny.yaml"
        path.write_text(configs.dump(tiny(steps=2)))
        return ["-c", str(path), "--size", "16x16", "--steps", "2", "--frame-steps", "1", "--seed", "1"]

    @pytest.mark.parametrize("suffix", ["mp4", "gif", "webp"])
    def test_a_story_is_saved_as_asked(self, vqclip: Vqclip, settings: list[str], suffix: str) -> None:
        done = vqclip("story", "a ^ b", "--frames", "2", "-o", f"s.{suffix}", *settings)
        assert (done.code, done.out) == (0, f"s.{suffix}\n")
        assert Path(f"s.{suffix}").stat().st_size > 0

    def test_a_zoom_plans_paints_and_is_projected_again(self, vqclip: Vqclip, settings: list[str]) -> None:
        plan = vqclip("zoom", "a", "--frames", "3", "--plan", *settings)
        assert plan.code == 0
        assert "3, 4 steps in all" in plan.out
        done = vqclip("zoom", "a", "--frames", "3", *settings)
        run = Path(done.lines[0]).parent
        smooth = vqclip("film", str(run), "-o", "smooth.mp4", "--interpolate", "4")
        assert (smooth.code, smooth.lines) == (0, ["smooth.mp4"])
        assert (VideoReader(Path("smooth.mp4")).count, VideoReader(Path("smooth.mp4")).fps) == (9, 48)
        there = vqclip("film", str(run), "--fps", "6", "--forth-and-back", "--hold", "0.5")
        assert there.code == 0
        assert VideoReader(run / "film.mp4").fps == 6

    def test_a_restyled_video_has_the_shape_of_its_source(
        self, vqclip: Vqclip, settings: list[str], tmp_path: Path
    ) -> None:
        with VideoWriter(tmp_path / "wide.mp4", 128, 32, 5, {}, "") as video:
            for shade in (10, 200):
                video.write(Image.new("RGB", (128, 32), (shade, 90, 30)))
        own = [word for word in settings if word not in ("--size", "16x16")]
        done = vqclip("restyle", str(tmp_path / "wide.mp4"), "a", *own, "--set", "size=32x32")
        assert done.code == 0
        made = VideoReader(Path(done.lines[0]))
        assert (made.width, made.height, made.count) == (64, 16, 2)

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (["generate", "a ^ b"], 2, "vqclip story"),
            (["story", "a ^ b", "-o", "s.png"], 2, ".mp4, .gif or .webp"),
            (["story", "a ^ b", "--frames", "0"], 2, "story.frames: 0 is out of range"),
            (["story", "a ^ b", "--loop", "--frames", "2"], 2, "can't fade"),
            (["zoom", "a", "--zoom", "0"], 2, "motion.zoom"),
            (["zoom", "a", "--border", "blue"], 2, "reflect, wrap, black, paint"),
            (["zoom", "a", "--frames", "0"], 2, "film.frames: 0 is out of range"),
            (["restyle", "missing.mp4", "a"], 2, "missing.mp4"),
            (["film", "missing"], 4, "no run folder"),
        ],
    )
    def test_bad_input_is_one_line(
        self, vqclip: Vqclip, words: list[str], code: int, said: str, tmp_path: Path
    ) -> None:
        done = vqclip(*words)
        assert (done.code, done.out) == (code, "")
        assert said in done.err
        assert "Traceback" not in done.err
        assert not Path("runs").exists()

    def test_without_ffmpeg_nothing_is_painted(
        self, vqclip: Vqclip, settings: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
        done = vqclip("zoom", "a", "--frames", "2", *settings)
        assert done.code == 1
        assert "ffmpeg" in done.err.splitlines()[-1]
        assert not list(Path().glob("runs/*/frames"))
