"""Pictures: any kind is read, each saved one carries its facts, and a file is written whole or not at all."""

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vqclip.errors import ImageError, SaveError
from vqclip.files import atomic, write_text
from vqclip.media import load_picture, read_facts, save_png, to_pil


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixels(path: Path) -> torch.Tensor:
    return (load_picture(path)[0].permute(1, 2, 0) * 255).round().byte()


class TestSaves:
    @pytest.mark.parametrize(
        "facts",
        [
            {},
            {"config": {"prompts": ['été 日本 🍎 " \\ \n ${x}'], "n": 1.5, "none": None}},
            {"long": "x" * 100_000},
        ],
    )
    def test_facts_come_back_as_they_were(
        self, tmp_path: Path, picture: Image.Image, facts: dict[str, Any]
    ) -> None:
        save_png(picture, tmp_path / "a.png", facts)
        assert read_facts(tmp_path / "a.png") == facts
        assert torch.equal(pixels(tmp_path / "a.png"), torch.from_numpy(np.asarray(picture).copy()))

    def test_a_tensor_becomes_its_nearest_bytes(self) -> None:
        picture = torch.tensor([0.0, 1.0, 0.5, -3.0, 7.0, 0.4999 / 255]).view(1, 1, 2, 3).expand(1, 3, 2, 3)
        assert np.asarray(to_pil(picture))[..., 0].tolist() == [[0, 255, 128], [0, 255, 0]]

    def test_through_a_file_and_back(self, tmp_path: Path) -> None:
        picture = torch.randint(256, (1, 3, 5, 7)) / 255
        save_png(to_pil(picture), tmp_path / "a.png", {})
        assert torch.equal(load_picture(tmp_path / "a.png"), picture)

    def test_a_folder_that_is_not_there_is_one_line(self, tmp_path: Path, picture: Image.Image) -> None:
        with pytest.raises(SaveError, match="can't be written: no such file"):
            save_png(picture, tmp_path / "none" / "a.png", {})


class TestReads:
    def test_transparency_over_white(self, tmp_path: Path) -> None:
        Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "a.png")
        assert bool((pixels(tmp_path / "a.png") == 255).all())

    def test_a_photo_upright(self, tmp_path: Path) -> None:
        """Orientation 6: the camera was turned, and rows are columns."""
        image = Image.new("RGB", (4, 2), "white")
        image.putpixel((0, 0), (0, 0, 0))
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(tmp_path / "a.png", exif=exif)
        found = pixels(tmp_path / "a.png")
        assert found.shape == (4, 2, 3)
        assert found[0, 1].tolist() == [0, 0, 0]

    @pytest.mark.parametrize(
        ("mode", "colour"),
        [("L", 128), ("1", 1), ("LA", (128, 255)), ("P", 3), ("CMYK", (0, 0, 0, 0)), ("I;16", 32896)],
    )
    def test_any_mode_as_rgb(self, tmp_path: Path, mode: str, colour: Any) -> None:
        suffix = "jpg" if mode == "CMYK" else "png"
        image = Image.new(mode, (3, 2), colour)
        image.save(tmp_path / f"a.{suffix}")
        found = load_picture(tmp_path / f"a.{suffix}")
        assert found.shape == (1, 3, 2, 3)
        if mode in ("L", "LA", "I;16"):
            assert found.flatten().tolist() == pytest.approx([128 / 255] * 18, abs=1e-3)

    @pytest.mark.parametrize("suffix", ["jpg", "webp", "gif", "bmp", "tiff"])
    def test_any_format(self, tmp_path: Path, suffix: str) -> None:
        Image.new("RGB", (8, 8), (255, 255, 255)).save(tmp_path / f"a.{suffix}")
        assert float(load_picture(tmp_path / f"a.{suffix}").min()) > 0.97


def whole_png() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, format="PNG")
    return buffer.getvalue()


BAD: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "text": lambda path: path.write_text("hello"),
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(whole_png()[:-1000]),
    "cut in the header": lambda path: path.write_bytes(whole_png()[:20]),
    "damaged": lambda path: path.write_bytes(whole_png()[:60] + b"\0\0\0" + whole_png()[63:]),
    "a bomb": lambda path: path.write_bytes(
        whole_png()[:16] + struct.pack(">II", 60_000, 60_000) + whole_png()[24:]
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("read", [load_picture, read_facts])
def test_what_is_no_picture_is_refused_in_one_line(
    tmp_path: Path, kind: str, read: Callable[[Path], object]
) -> None:
    BAD[kind](tmp_path / "a.png")
    with pytest.raises(ImageError) as caught:
        read(tmp_path / "a.png")
    assert "a.png" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "{", "3"])
def test_a_picture_without_whole_facts_is_refused(
    tmp_path: Path, picture: Image.Image, text: str | None
) -> None:
    info = PngInfo()
    if text is not None:
        info.add_itxt("vqclip", text)
    picture.save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(ImageError, match="carries"):
        read_facts(tmp_path / "a.png")


class TestAtomic:
    def test_writes_the_whole_file_and_nothing_beside_it(self, tmp_path: Path) -> None:
        write_text(tmp_path / "a.txt", "old")
        write_text(tmp_path / "a.txt", "été")
        assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "été"
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("before", ["old", None])
    def test_raising_in_the_middle_leaves_what_was_there(
        self, tmp_path: Path, error: type[BaseException], before: str | None
    ) -> None:
        path = tmp_path / "a.txt"
        if before:
            path.write_text(before)

        def write() -> None:
            with atomic(path) as file:
                file.write(b"half")
                raise error

        with pytest.raises(error):
            write()
        assert [file.read_text() for file in tmp_path.iterdir()] == ([before] if before else [])

    def test_gives_the_rights_that_the_umask_leaves(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            write_text(tmp_path / "a.txt", "x")
        finally:
            os.umask(before)
        assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
