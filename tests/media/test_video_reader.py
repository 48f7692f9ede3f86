"""Videos in: every picture at its time, upright, from any of them on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from vqclip.base.errors import VideoError
from vqclip.media import ffmpeg
from vqclip.media.video_reader import VideoReader
from vqclip.media.video_writer import VideoWriter

STEP = 4  # of 255, from picture to picture
COUNT = 60


def write(path: Path, fps: float = 10) -> Path:
    """Sixty pictures, each a little lighter than the one before."""
    with VideoWriter(path, 32, 16, fps, {}, "") as video:
        for i in range(COUNT):
            video.write(Image.new("RGB", (32, 16), (STEP * i,) * 3))
    return path


def convert(source: Path, target: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    done = ffmpeg.run(*before, "-i", source, *options, target)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("footage") / "a b.mp4")


def numbers(reader: VideoReader, first: int = 0) -> list[int]:
    """Which of the pictures these are."""
    return [round(float(image.mean()) * 255 / STEP) for image in reader.frames(first)]


class TestRange:
    @pytest.mark.parametrize(
        ("begin", "end", "every", "expected"),
        [
            (0, None, 1, range(60)),
            (0, None, 7, range(0, 60, 7)),
            (1, 2, 1, range(10, 20)),
            (1.04, 2, 1, range(10, 20)),
            (0.5, 5.9, 4, range(5, 59, 4)),
            (5.9, None, 1, range(59, 60)),
            (2, 99, 1, range(20, 60)),
        ],
    )
    def test_gives_exactly_these_pictures(
        self, clip: Path, begin: float, end: float | None, every: int, expected: range
    ) -> None:
        reader = VideoReader(clip, begin, end, every)
        assert numbers(reader) == list(expected)
        assert reader.count == len(expected)
        assert reader.fps == pytest.approx(10 / every)

    @pytest.mark.parametrize("fps", [10, 30000 / 1001, 25])
    @pytest.mark.parametrize(("begin", "every"), [(0, 1), (0.3, 1), (0.2, 3)])
    def test_skips_to_any_picture(self, tmp_path: Path, fps: float, begin: float, every: int) -> None:
        reader = VideoReader(write(tmp_path / "a.mp4", fps), begin, None, every)
        whole = list(reader.frames())
        for first in (0, 1, 9, len(whole) // 2, len(whole) - 1):
            rest = list(reader.frames(first))
            assert len(rest) == len(whole) - first
            assert all(map(torch.equal, rest, whole[first:]))

    def test_nothing_after_the_last(self, clip: Path) -> None:
        assert list(VideoReader(clip).frames(COUNT)) == []

    def test_is_left_early_without_a_word(self, clip: Path) -> None:
        images = VideoReader(clip).frames()
        next(images)
        images.close()  # type: ignore[attr-defined]


class TestSources:
    @pytest.mark.parametrize("suffix", ["gif", "mkv", "mov", "ts"])
    def test_of_other_kinds(self, clip: Path, tmp_path: Path, suffix: str) -> None:
        reader = VideoReader(convert(clip, tmp_path / f"a.{suffix}"))
        assert len(numbers(reader)) == pytest.approx(COUNT, abs=1)
        assert (reader.width, reader.height, reader.fps) == (32, 16, 10)

    @pytest.mark.parametrize(("degrees", "size"), [("90", (16, 32)), ("180", (32, 16)), ("-90", (16, 32))])
    def test_upright(self, clip: Path, tmp_path: Path, degrees: str, size: tuple[int, int]) -> None:
        turned = convert(clip, tmp_path / "a.mp4", "-c", "copy", before=("-display_rotation", degrees))
        reader = VideoReader(turned)
        assert (reader.width, reader.height) == size
        assert next(reader.frames()).shape == (1, 3, size[1], size[0])

    def test_at_a_constant_rate(self, clip: Path, tmp_path: Path) -> None:
        """Of every second second, four pictures of five are missing: the others are shown as long as they were."""
        select = "select='lt(mod(n,20),10)+not(mod(n,5))'"
        varying = convert(clip, tmp_path / "a.mp4", "-vf", select, "-fps_mode", "vfr")
        reader = VideoReader(varying)
        expected = [i if i % 20 < 10 else i - i % 5 for i in range(COUNT)]
        assert reader.fps == 10
        assert numbers(reader) == pytest.approx(expected[: reader.count], abs=1)
        assert reader.count == pytest.approx(COUNT, abs=5)

    def test_says_whether_there_is_sound(self, clip: Path, tmp_path: Path) -> None:
        loud = convert(clip, tmp_path / "a.mp4", "-shortest", before=("-f", "lavfi", "-i", "sine=d=9"))
        assert VideoReader(loud).has_sound
        assert not VideoReader(clip).has_sound

    def test_a_name_is_never_an_address(self, clip: Path) -> None:
        for name in ("-a.mp4", "concat:b.mp4", "%03d.mp4"):
            Path(name).write_bytes(clip.read_bytes())
            assert VideoReader(Path(name)).count == COUNT


CLEAR = ("-f", "lavfi", "-i", "color=red@0:s=32x16:r=8:d=0.5,format=rgba")
HDR = "setparams=color_primaries=bt2020:color_trc={0}:colorspace=bt2020nc:range=tv"


def made(path: Path, *arguments: str) -> torch.Tensor:
    """The first picture of a video that ffmpeg makes."""
    done = ffmpeg.run(*arguments, path)
    assert done.returncode == 0, done.stderr
    return next(VideoReader(path).frames())


class TestLooks:
    @pytest.mark.parametrize(
        ("aspect", "size"),
        [("2/1", (16, 64)), ("1/2", (32, 32)), ("16/15", (16, 34)), ("1", (16, 32)), ("999/1", (16, 32))],
    )
    def test_pixels_become_square(
        self, clip: Path, tmp_path: Path, aspect: str, size: tuple[int, int]
    ) -> None:
        """But for what no camera has."""
        image = made(tmp_path / "a.mp4", "-i", str(clip), "-vf", f"setsar={aspect}")
        assert tuple(image.shape[2:]) == size

    @pytest.mark.parametrize(
        ("transfer", "luma", "least", "most"),
        [
            ("smpte2084", 509, 0.9, 1), ("smpte2084", 573, 0.95, 1), ("smpte2084", 940, 0.99, 1),
            ("smpte2084", 372, 0.4, 0.6), ("smpte2084", 64, 0, 0.01), ("arib-std-b67", 721, 0.95, 1),
        ],
    )  # fmt: skip
    def test_high_range_is_mapped_to_a_plain_screen(
        self, tmp_path: Path, transfer: str, luma: int, least: float, most: float
    ) -> None:
        """PQ of 100, 203, 10000, 18 and 0 cd/m², and HLG's white."""
        grey = f"format=yuv420p10le,geq=lum={luma}:cb=512:cr=512,{HDR.format(transfer)}"
        tags = ("-color_trc", transfer, "-color_primaries", "bt2020", "-colorspace", "bt2020nc")
        source = ("-f", "lavfi", "-i", "color=gray:s=32x32:r=8:d=0.5", "-vf", grey)
        image = made(tmp_path / "a.mp4", *source, "-c:v", "libx264", *tags)
        assert least <= float(image.min()) <= float(image.max()) <= most

    @pytest.mark.parametrize(
        ("name", "codec"),
        [
            ("a.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")), ("a.mov", ("-c:v", "qtrle")),
            ("b.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuva444p10le")), ("c.mov", ("-c:v", "png")),
            ("a.webp", ("-c:v", "libwebp_anim", "-lossless", "1")), ("a.apng", ("-f", "apng")),
        ],
    )  # fmt: skip
    def test_what_is_clear_is_white(self, tmp_path: Path, name: str, codec: tuple[str, ...]) -> None:
        assert float(made(tmp_path / name, *CLEAR, *codec).min()) > 0.99

    def test_what_is_clear_in_a_gif_is_white(self, tmp_path: Path) -> None:
        frames = [Image.new("RGBA", (32, 16), (255, 0, 0, 0)) for _ in range(3)]
        for i, frame in enumerate(frames):
            frame.putpixel((i, 0), (0, 0, 255, 255))
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], disposal=2)
        image = next(VideoReader(tmp_path / "a.gif").frames())
        assert image[0, :, 8, 8].tolist() == [1, 1, 1]
        assert image[0, :, 0, 0].tolist() == [0, 0, 1]


BAD: dict[str, Callable[[Path, bytes], object]] = {
    "there is no video": lambda path, whole: None,
    "is a directory": lambda path, whole: path.mkdir(),
    "invalid data": lambda path, whole: path.write_bytes(b"hello" * 1000),
    "is not a video that vqclip can read": lambda path, whole: path.write_bytes(whole[:300]),
    "vqclip can read: invalid": lambda path, whole: path.write_bytes(b""),
    "no images": lambda path, whole: convert_sound(path),
}


def convert_sound(path: Path) -> None:
    assert ffmpeg.run("-f", "lavfi", "-i", "sine=d=1", path).returncode == 0


class TestRefusals:
    @pytest.mark.parametrize("fragment", BAD)
    def test_what_is_no_video(self, clip: Path, tmp_path: Path, fragment: str) -> None:
        BAD[fragment](tmp_path / "a.mp4", clip.read_bytes())
        with pytest.raises(VideoError, match=fragment) as caught:
            VideoReader(tmp_path / "a.mp4")
        assert "a.mp4" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("begin", "end", "every"),
        [(7, None, 1), (99, 100, 1), (2, 1, 1), (1, 1, 1), (-1, None, 1), (0, None, 0)],
    )
    def test_a_range_without_pictures(self, clip: Path, begin: float, end: float | None, every: int) -> None:
        with pytest.raises(VideoError, match=r"begin earlier"):
            VideoReader(clip, begin, end, every)
