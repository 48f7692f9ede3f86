"""Progress videos: each step's picture is in them once, whatever happened on the way, and none harms the painting."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEVICE, Tiny, Vqclip
from PIL import Image

from vqclip.base.errors import RunError, UsageError
from vqclip.base.stop import StopToken
from vqclip.cli.app import main
from vqclip.config import resolve as configs
from vqclip.config.schema import Config
from vqclip.media.ffmpeg import executable
from vqclip.media.image import read_metadata
from vqclip.media.video_metadata import read_video_metadata
from vqclip.media.video_reader import VideoReader
from vqclip.pipeline.events import Stepped, VideoSaved
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.progress_video import (
    MJPEG,
    SETTINGS,
    MjpegFile,
    VideoSettings,
    read_settings,
    recorded,
    request_video,
)
from vqclip.pipeline.render import render
from vqclip.runs.run import Run

pytestmark = pytest.mark.usefixtures("device")
STEPS = 6


@pytest.fixture
def small(tiny: Tiny) -> list[str]:
    """Words that make `vqclip generate` paint with the tiny models."""
    Path("tiny.yaml").write_text(configs.dump(tiny(steps=STEPS)))
    return ["-c", "tiny.yaml", "--seed", "1", "--video-hold", "0"]


def begin(config: Config, folder: Path, **prompt: object) -> Run:
    run = Run.open(folder, config, {})
    request_video(run, VideoSettings(hold=0, fps=10, **prompt))  # type: ignore[arg-type]
    return run


def film(run: Run, stop_at: int | None = None) -> list[np.ndarray]:
    """Paint on, and give the pictures of the video, none if it is stopped at a step."""
    stop = StopToken()
    for event in recorded([run], render(run.config, Pipeline(run.config, DEVICE), run, stop)):
        if isinstance(event, Stepped) and event.step.index == stop_at:
            stop.stop()
        if isinstance(event, VideoSaved):
            return pictures(event.path)
    return []


def paint_and_be_killed(words: list[str]) -> None:
    """Run a command that is killed before it keeps its fourth picture."""
    append = MjpegFile.append

    def append_or_die(book: MjpegFile, image: Image.Image) -> None:
        if len(book) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        append(book, image)

    MjpegFile.append = append_or_die  # type: ignore[method-assign]
    sys.argv = ["vqclip", *words]
    main()


def pictures(video: Path) -> list[np.ndarray]:
    return [frame.numpy() for frame in VideoReader(video).frames()]


@pytest.mark.parametrize(
    ("wish", "count", "fps"),
    [
        ({}, 301, 30.1),
        ({}, 20, 10),
        ({}, 2000, 60),
        ({"seconds": 5.0}, 150, 30),
        ({"fps": 24.0}, 2000, 24),
        ({"forth_and_back": True}, 151, 30),
    ],
)
def test_the_rate_suits_the_length_within_bounds(wish: dict[str, float], count: int, fps: float) -> None:
    assert VideoSettings(**wish).rate_for(count) == pytest.approx(fps)  # type: ignore[arg-type]


class TestGenerate:
    def test_shows_every_step_and_the_finished_picture(self, vqclip: Vqclip, small: list[str]) -> None:
        done = vqclip("generate", "--video", "a red apple", *small)
        (run,) = Path("runs").iterdir()
        assert done.lines == [str(run / "image.png")]
        assert f"video     {run / 'progress.mp4'}" in done.err
        frames = pictures(run / "progress.mp4")
        assert len(frames) == STEPS + 1
        finished = np.asarray(Image.open(run / "image.png")).transpose(2, 0, 1) / 255
        distances = [abs(frame[0].mean(0) - finished.mean(0)).mean() for frame in frames]
        assert distances[-1] == min(distances) < distances[0]
        assert not (run / MJPEG).exists()
        assert {path.name for path in Path.cwd().iterdir()} == {"runs", "tiny.yaml"}

    @pytest.mark.parametrize("kind", [".mp4", ".gif", ".webp"])
    def test_the_file_carries_what_the_picture_carries(
        self, vqclip: Vqclip, small: list[str], kind: str
    ) -> None:
        file = Path(f"my film{kind}")
        done = vqclip("generate", 'été: a "red" apple', *small, "--video", str(file), "--json")
        assert json.loads(done.out)["video"] == str(file)
        (run,) = Path("runs").iterdir()
        assert read_video_metadata(file) == read_metadata(run / "image.png")
        assert vqclip("show", str(file)).out == vqclip("show", str(run / "image.png")).out

    def test_each_of_several_has_its_own(self, vqclip: Vqclip, small: list[str]) -> None:
        assert vqclip("generate", "a", *small, "--count", "2", "--video", "a.gif").code == 0
        assert sorted(path.name for path in Path.cwd().glob("*.gif")) == ["a-1.gif", "a-2.gif"]
        assert read_video_metadata(Path("a-2.gif"))["config"]["seed"] == 2

    def test_the_best_one_gets_the_name(self, vqclip: Vqclip, small: list[str]) -> None:
        words = ["--count", "2", "--best", "1", "-o", "a.png", "--video", "a.mp4"]
        assert vqclip("generate", "a", *small, *words).code == 0
        assert read_video_metadata(Path("a.mp4")) == read_metadata(Path("a.png"))
        assert len(list(Path("runs").glob("*/progress.mp4"))) == 2

    def test_the_plan_names_it(self, vqclip: Vqclip, small: list[str]) -> None:
        plan = json.loads(vqclip("generate", "a", *small, "--video", "a.webp", "--plan", "--json").out)
        assert plan["videos"] == ["a.webp"]
        assert not Path("a.webp").exists()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--video", "a.avi"], "a.avi: videos are saved as .mp4, .gif or .webp; name it a.mp4"),
            (["--video", "/dev/null/a.mp4"], "/dev/null/a.mp4: /dev/null is a file; name a folder"),
            (["--video-fps", "12"], "the video options need --video; add it"),
            (["--video", "--video-hold", "inf"], "its hold is 0 to 3600"),
            (["--video", "--set", "film.frames=2"], "this is a film; -o FILE.mp4 saves it"),
        ],
    )
    def test_what_could_not_be_made_is_refused_before_painting(
        self, vqclip: Vqclip, small: list[str], words: list[str], said: str
    ) -> None:
        done = vqclip("generate", "a", *small[:-2], *words)
        assert done.code == 2
        assert said in done.err
        assert not Path("runs").exists()

    @pytest.mark.parametrize("executable", ["nowhere", "/bin/false"])
    def test_an_ffmpeg_that_does_not_work_is_refused_before_painting(
        self, vqclip: Vqclip, small: list[str], monkeypatch: pytest.MonkeyPatch, executable: str
    ) -> None:
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", executable)
        done = vqclip("generate", "a", *small, "--video")
        assert done.code == 1
        assert len(done.err.splitlines()) == 1
        assert "unset IMAGEIO_FFMPEG_EXE" in done.err
        assert not Path("runs").exists()

    def test_an_encoder_that_dies_harms_neither_picture_nor_video(
        self, vqclip: Vqclip, small: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on a full disk: the picture is there, and what the video is made of, to make it when there is room."""
        ffmpeg = Path("ffmpeg").absolute()
        ffmpeg.write_text(
            f'#!/bin/sh\ncase "$*" in *-encoders) exec "{executable()}" "$@";; esac\n'
            "head -c 99 >/dev/null; echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1\n"
        )
        ffmpeg.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(ffmpeg))
        done = vqclip("generate", "a", *small, "--video", "a.mp4")
        (run,) = Path("runs").iterdir()
        assert done.code == 1
        line = done.err.splitlines()[-1]
        assert "no space left on device" in line
        assert f"vqclip resume {run}" in line
        assert (run / "image.png").is_file()
        assert not list(run.glob("*progress.mp4*"))
        monkeypatch.delenv("IMAGEIO_FFMPEG_EXE")
        assert vqclip("resume", str(run)).code == 0
        assert VideoReader(Path("a.mp4")).count == STEPS + 1


class TestResumed:
    @pytest.mark.parametrize("kind", [".mp4", ".gif"])
    def test_is_as_if_it_had_never_been_interrupted(self, tiny: Tiny, tmp_path: Path, kind: str) -> None:
        """The process may have been killed later than its last snapshot, and in the middle of a picture."""
        config = tiny(steps=STEPS)
        whole = film(begin(config, tmp_path / "whole", kind=kind))
        for index in (1, 3, STEPS - 1):
            run = begin(config, tmp_path / f"cut at {index}", kind=kind)
            assert film(run, stop_at=index) == []
            frames = run.folder / MJPEG
            assert len(MjpegFile(frames)) == index
            with frames.open("ab") as file:
                file.write(2 * frames.read_bytes() + frames.read_bytes()[:-40])
            cut = film(run)
            assert len(cut) == len(whole) == STEPS + 1, index
            assert all(map(np.array_equal, cut, whole)), index

    def test_survives_a_kill_between_any_two_writes(
        self, vqclip: Vqclip, small: list[str], forks: Any
    ) -> None:
        """SIGKILL in the middle of painting; `vqclip resume` ends it, and puts the video where it was asked for."""
        words = ["generate", "a", *small, "--video", "a.mp4"]
        killed = forks.Process(target=paint_and_be_killed, args=(words,))
        killed.start()
        killed.join()
        assert killed.exitcode == -signal.SIGKILL
        (run,) = Path("runs").iterdir()
        assert not Path("a.mp4").exists()
        assert vqclip("resume", str(run)).code == 0
        assert VideoReader(Path("a.mp4")).count == STEPS + 1

    def test_interrupted_while_the_video_is_made_it_is_made_later(
        self, vqclip: Vqclip, small: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(
                "vqclip.pipeline.progress_video.assemble", lambda *_, **__: signal.raise_signal(signal.SIGINT)
            )
            done = vqclip("generate", "a", *small, "--video")
        (run,) = Path("runs").iterdir()
        assert done.code == 130
        assert f"vqclip resume {run}" in done.err
        assert vqclip("resume", str(run)).code == 0
        assert VideoReader(run / "progress.mp4").count == STEPS + 1

    def test_a_finished_one_is_left_alone(self, vqclip: Vqclip, small: list[str]) -> None:
        vqclip("generate", "a", *small, "--video")
        (video,) = Path("runs").glob("*/progress.mp4")
        before = video.stat()
        assert vqclip("resume", str(video.parent)).code == 0
        assert video.stat().st_mtime_ns == before.st_mtime_ns


def test_forth_and_back_mirrors_the_painting(tiny: Tiny, tmp_path: Path) -> None:
    frames = film(begin(tiny(steps=STEPS), tmp_path / "run", kind=".webp", forth_and_back=True))
    assert len(frames) == 2 * STEPS
    for there, back in zip(frames[1:STEPS], reversed(frames[STEPS + 1 :]), strict=True):
        assert abs(there - back).mean() < 0.01


def test_pictures_of_coarse_stages_fill_the_frame(tiny: Tiny, tmp_path: Path) -> None:
    """An odd size, whose first pictures are half as large: nothing but an MP4's even sides is added."""
    stages = {"stages": [{"scale": 0.5, "share": 1}, {"scale": 1, "share": 1}]}
    run = begin(tiny(steps=4, size="21x18", latent=stages), tmp_path / "run")
    assert [frame.shape[1:] for frame in film(run)] == [(3, 18, 22)] * 5


def test_a_painting_that_settles_early_has_a_video_of_the_steps_there_were(
    tiny: Tiny, tmp_path: Path
) -> None:
    plateau = {"patience": 2, "improvement": 0.9}
    run = begin(tiny(steps=50, plateau=plateau), tmp_path / "run")
    count = len(film(run))
    record = run.record()
    assert record
    assert count == record["steps"] + 1 < 50


def test_a_flipbook_opens_no_more_than_it_shows(tmp_path: Path) -> None:
    """It finds its pictures again by the marks at their ends, whatever they show."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 40, 30, 3), np.uint8)
    book = MjpegFile(tmp_path / "book")
    for pixels in noise:
        book.append(Image.fromarray(pixels))
    again = MjpegFile(tmp_path / "book")
    assert len(again) == len(book) == 8
    assert all(np.array_equal(np.asarray(book[i]), np.asarray(again[i])) for i in range(8))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"kind": ".exe"}',
        '{"kind": []}',
        '{"fps": 0}',
        '{"seconds": "1"}',
        '{"hold": NaN}',
        '{"x": 1}',
    ],
)
def test_a_wish_that_makes_no_sense_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / SETTINGS).write_text(text)
    with pytest.raises(RunError, match="delete it to go on without a video"):
        read_settings(tmp_path)


def test_no_wish_is_no_video(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
    with pytest.raises(UsageError):
        VideoSettings(kind=".avi")
