"""Videos: what goes in comes out, picture by picture; they are written whole or not at all, and bear their facts."""

import contextlib
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vqclip.base.errors import UsageError, VideoError
from vqclip.media.ffmpeg import executable, sound_codec
from vqclip.media.video_metadata import Sound, read_video_metadata
from vqclip.media.video_reader import VideoReader
from vqclip.media.video_writer import VideoWriter, assemble, check_encoder

KINDS = [".mp4", ".gif", ".webp"]
FACTS = {"config": {"prompts": ['a "red" apple; 50% = #1\\2\n<été> & 日本', "-y", "%s $(x) `y`"]}, "n": 1}
LONG = {"text": "x" * 1000 + "=" + "'" * 300}


def shade(i: int) -> Image.Image:
    return Image.new("RGB", (21, 14), (20 * i, 20 * i, 20 * i))


def write(path: Path, count: int = 12, fps: float = 10, sound: Sound | None = None) -> Path:
    with VideoWriter(path, 21, 14, fps, FACTS, "title", sound) as video:
        for i in range(count):
            video.write(shade(i))
    return path


def numbers(reader: VideoReader, first: int = 0) -> list[int]:
    """Which of the shades each picture is."""
    return [round(float(frame.mean()) * 255 / 20) for frame in reader.frames(first)]


def ffmpeg(*words: str) -> None:
    subprocess.run([executable(), "-v", "error", "-y", *words], check=True)


@pytest.fixture
def noise() -> Path:
    """Two seconds of sound, raw, in a container that takes it so."""
    Path("raw").write_bytes(np.random.default_rng(0).bytes(2 * 2 * 8000))
    ffmpeg("-f", "s16le", "-ar", "8000", "-ac", "1", "-i", "raw", "noise.wav")
    return Path("noise.wav")


class TestWritten:
    @pytest.mark.parametrize("kind", KINDS)
    def test_comes_back_picture_by_picture(self, kind: str) -> None:
        reader = VideoReader(write(Path(f"a{kind}")))
        assert numbers(reader) == list(range(12))
        assert (reader.count, reader.fps, reader.has_sound) == (12, 10, False)
        assert (reader.width, reader.height) == ((22, 14) if kind == ".mp4" else (21, 14))

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("facts", [FACTS, LONG, {}], ids=["odd", "long", "none"])
    def test_carries_its_facts(self, kind: str, facts: dict[str, Any]) -> None:
        path = Path(f"a{kind}")
        with VideoWriter(path, 16, 16, 10, facts, "a & b; <c>") as video:
            video.write(shade(1))
            video.write(shade(9))
        assert read_video_metadata(path) == facts
        assert numbers(VideoReader(path)) == [1, 9]

    @pytest.mark.parametrize("kind", KINDS)
    def test_keeps_its_colours(self, kind: str) -> None:
        """BT.709 says so itself: no player has to guess at the matrix."""
        colours = [(200, 40, 30), (30, 160, 60), (40, 60, 200), (240, 240, 240)]
        path = Path(f"a{kind}")
        with VideoWriter(path, 16, 16, 10, {}, "") as video:
            for colour in colours:
                video.write(Image.new("RGB", (16, 16), colour))
        for colour, frame in zip(colours, VideoReader(path).frames(), strict=True):
            assert np.allclose(255 * frame.mean((0, 2, 3)).numpy(), colour, atol=4)

    @pytest.mark.parametrize("name", ["-y.mp4", "http:a.mp4", "a b'%03d.gif", "é;|$(touch x).webp"])
    def test_has_whatever_name_it_is_given(self, name: str) -> None:
        assert numbers(VideoReader(write(Path(name)))) == list(range(12))
        assert [path.name for path in Path.cwd().iterdir()] == [name]

    @pytest.mark.parametrize("kind", KINDS)
    def test_is_there_whole_or_not_at_all(self, kind: str) -> None:
        path = Path(f"a{kind}")
        for before in (None, b"before"):
            if before:
                path.write_bytes(before)
            with contextlib.suppress(KeyError), VideoWriter(path, 21, 14, 10, {}, "") as video:
                video.write(shade(1))
                raise KeyError
            assert {file.read_bytes() for file in Path.cwd().iterdir()} == ({before} if before else set())

    def test_of_no_picture_is_none(self) -> None:
        with pytest.raises(VideoError, match="at least one"), VideoWriter(Path("a.mp4"), 8, 8, 10, {}, ""):
            pass
        with pytest.raises(VideoError, match="no images"):
            assemble([], Path("a.mp4"), 10, {}, "")
        assert not list(Path.cwd().iterdir())

    def test_says_what_the_encoder_died_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = Path("ffmpeg").absolute()
        fake.write_text(
            f'#!/bin/sh\ncase "$*" in *-encoders) exec "{executable()}" "$@";; esac\n'
            "head -c 9 >/dev/null; echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1\n"
        )
        fake.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(fake))
        with pytest.raises(VideoError, match=r"^a\.mp4 can't be written: no space left on device$"):
            write(Path("a.mp4"), 5000)
        assert [path.name for path in Path.cwd().iterdir()] == ["ffmpeg"]

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("a.avi", "name it a.mp4"),
            ("a", "name it a.mp4"),
            ("d.mp4/file/a.mp4", "file is a file; name a folder"),
            ("d.mp4", "is a folder"),
        ],
    )
    def test_a_name_that_can_not_be_is_refused_at_once(self, name: str, said: str) -> None:
        Path("d.mp4").mkdir()
        Path("d.mp4/file").touch()
        with pytest.raises(UsageError, match=said):
            check_encoder(Path(name))


class TestAssembled:
    def test_holds_the_last_and_runs_back(self) -> None:
        for i in range(4):
            shade(i).save(f"{i}.png")
        files = [Path(f"{i}.png") for i in range(4)]
        assemble(files, Path("a.mp4"), 10, {}, "", hold=0.2, forth_and_back=True)
        assert numbers(VideoReader(Path("a.mp4"))) == [0, 1, 2, 3, 3, 3, 2, 1]

    def test_a_single_picture_is_a_video(self) -> None:
        assemble([shade(3)], Path("a.gif"), 10, {}, "", hold=0.3, forth_and_back=True)
        assert set(numbers(VideoReader(Path("a.gif")))) == {3}

    def test_pictures_of_other_sizes_are_scaled_to_the_last(self) -> None:
        assemble([Image.new("RGB", (5, 9)), shade(3)], Path("a.webp"), 10, {}, "")
        reader = VideoReader(Path("a.webp"))
        assert (reader.width, reader.height, reader.count) == (21, 14, 2)


class TestSound:
    def test_goes_with_the_pictures_and_ends_with_them(self, noise: Path) -> None:
        path = write(Path("a.mp4"), sound=Sound(noise, 0.5))
        assert VideoReader(path).has_sound
        ffmpeg("-i", str(path), "-vn", "-f", "s16le", "-ar", "8000", "sound")
        heard = Path("sound").stat().st_size / 2 / 8000
        assert 1.1 < heard < 1.4  # of 1.5 s of sound, for 1.2 s of pictures; AAC comes in pieces

    @pytest.mark.parametrize(("rate", "codec"), [("44100", "mp3"), ("8000", "aac")])
    def test_is_encoded_again_only_if_an_mp4_does_not_take_it(
        self, noise: Path, rate: str, codec: str
    ) -> None:
        ffmpeg("-i", str(noise), "-ar", rate, "-c:a", "libmp3lame", "noise.mp3")
        assert sound_codec(write(Path("a.mp4"), sound=Sound(Path("noise.mp3")))) == codec
        assert sound_codec(write(Path("b.mp4"), sound=Sound(noise))) == "aac"

    def test_of_a_silent_source_is_none(self) -> None:
        path = write(Path("a.mp4"), sound=Sound(write(Path("silent.mp4"))))
        assert VideoReader(path).count == 12
        assert not VideoReader(path).has_sound


class TestFootage:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("begin", "end", "every"), [(0, None, 1), (0.3, None, 1), (0.2, 0.9, 2), (0, 1, 5)]
    )
    def test_is_the_range_that_was_asked_for(
        self, kind: str, begin: float, end: float | None, every: int
    ) -> None:
        if kind == ".webp" and begin:
            pytest.skip("ffmpeg doesn't seek in a WebP")
        reader = VideoReader(write(Path(f"a{kind}")), begin, end, every)
        outputs = list(range(12))[round(10 * begin) : None if end is None else round(10 * end) : every]
        assert numbers(reader) == outputs
        assert reader.count == len(outputs)
        assert reader.fps == pytest.approx(10 / every)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("fps", [10, 24, 30000 / 1001])
    def test_begins_with_any_picture(self, kind: str, fps: float) -> None:
        """Frame by frame exactly, though an MP4 has a key picture here and there only."""
        reader = VideoReader(write(Path(f"a{kind}"), fps=fps), every=2)
        whole = numbers(reader)
        for first in (0, 1, 3, reader.count - 1):
            assert numbers(reader, first) == whole[first:]

    def test_stands_upright(self) -> None:
        write(Path("a.mp4"))
        ffmpeg("-display_rotation", "90", "-i", "a.mp4", "-c", "copy", "turned.mp4")
        reader = VideoReader(Path("turned.mp4"))
        assert (reader.width, reader.height) == (14, 22)
        assert numbers(reader) == list(range(12))

    def test_of_a_varying_rate_lasts_as_long(self) -> None:
        """Four pictures of a fifth of a second each, then four of a tenth."""
        write(Path("a.mp4"), 8)
        varying = "setpts='if(lt(N,4),N*0.2,0.8+(N-4)*0.1)/TB'"
        ffmpeg("-i", "a.mp4", "-vf", varying, "-fps_mode", "vfr", "-video_track_timescale", "1000", "b.mp4")
        reader = VideoReader(Path("b.mp4"))
        assert reader.count / reader.fps == pytest.approx(1.2, abs=0.15)
        assert sorted(set(numbers(reader))) == list(range(8))

    def test_of_a_file_that_is_cut_short_ends_there(self) -> None:
        path = write(Path("a.mp4"))
        data = path.read_bytes()
        path.write_bytes(data[: data.index(b"mdat") + 900])
        reader = VideoReader(path)
        assert numbers(reader) == list(range(reader.count))
        assert 0 < reader.count < 12

    @pytest.mark.parametrize(
        ("name", "content"), [("no.mp4", None), ("a.mp4", b""), ("a.mp4", b"text"), ("a.gif", b"GIF89a")]
    )
    def test_what_is_no_video_is_one_line(self, name: str, content: bytes | None) -> None:
        if content is not None:
            Path(name).write_bytes(content)
        with pytest.raises(VideoError) as refused:
            VideoReader(Path(name))
        assert name in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_sound_alone_is_no_video(self, noise: Path) -> None:
        with pytest.raises(VideoError, match="it has no images"):
            VideoReader(noise)

    @pytest.mark.parametrize(("begin", "end"), [(5, None), (-1, None), (0.5, 0.5), (0.5, 0.2)])
    def test_a_range_without_pictures_is_refused(self, begin: float, end: float | None) -> None:
        write(Path("a.mp4"))
        with pytest.raises(VideoError, match="begin earlier"):
            VideoReader(Path("a.mp4"), begin, end)


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_of_somebody_elses_carries_nothing(kind: str) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=16x16:r=5:d=1", f"a{kind}")
    with pytest.raises(VideoError, match="carries no config"):
        read_video_metadata(Path(f"a{kind}"))
    Path(f"b{kind}").write_bytes(b"text")
    with pytest.raises(VideoError, match="can't be read"):
        read_video_metadata(Path(f"b{kind}"))
