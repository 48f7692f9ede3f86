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
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from vqclip.base.errors import ImageError, SaveError
from vqclip.base.files import atomic, write_text
from vqclip.media.image import load_image, read_metadata, save_png, to_pil


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixels(path: Path) -> torch.Tensor:
    return (load_image(path)[0].permute(1, 2, 0) * 255).round().byte()


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
        assert read_metadata(tmp_path / "a.png") == facts
        assert torch.equal(pixels(tmp_path / "a.png"), torch.from_numpy(np.asarray(picture).copy()))

    def test_a_tensor_becomes_its_nearest_bytes(self) -> None:
        image = torch.tensor([0.0, 1.0, 0.5, -3.0, 7.0, 0.4999 / 255]).view(1, 1, 2, 3).expand(1, 3, 2, 3)
        assert np.asarray(to_pil(image))[..., 0].tolist() == [[0, 255, 128], [0, 255, 0]]

    def test_through_a_file_and_back(self, tmp_path: Path) -> None:
        image = torch.randint(256, (1, 3, 5, 7)) / 255
        save_png(to_pil(image), tmp_path / "a.png", {})
        assert torch.equal(load_image(tmp_path / "a.png"), image)

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
        found = load_image(tmp_path / f"a.{suffix}")
        assert found.shape == (1, 3, 2, 3)
        if mode in ("L", "LA", "I;16"):
            assert found.flatten().tolist() == pytest.approx([128 / 255] * 18, abs=1e-3)

    @pytest.mark.parametrize("suffix", ["jpg", "webp", "gif", "bmp", "tiff"])
    def test_any_format(self, tmp_path: Path, suffix: str) -> None:
        Image.new("RGB", (8, 8), (255, 255, 255)).save(tmp_path / f"a.{suffix}")
        assert float(load_image(tmp_path / f"a.{suffix}").min()) > 0.97


GREY = np.linspace(0, 255, 64 * 64).reshape(64, 64).round()


def saved(values: Any, path: Path, **options: Any) -> torch.Tensor:
    """The first channel of a picture of numbers, through a file."""
    Image.fromarray(values).save(path, **options)
    return load_image(path)[0, 0]


class TestRanges:
    @pytest.mark.parametrize(
        "values",
        [
            GREY.astype(np.float32), (GREY / 255).astype(np.float32), (GREY * 257).astype(np.float32),
            (GREY * 1e20).astype(np.float32), (GREY / 127.5 - 1).astype(np.float32),
            np.where(GREY > 254, np.inf, GREY).astype(np.float32),
            GREY.astype(np.int32), (GREY * 257).astype(np.int32), (GREY * 8421504).astype(np.int32),
            (GREY - 128).astype(np.int32), (GREY * 257).astype(np.uint16),
        ],
        ids=[
            "floats to 255", "to 1", "to 65535", "large floats", "signed floats", "infinity", "integers to 255",
            "to 16 bits", "to 31 bits", "signed integers", "16 bits",
        ],
    )  # fmt: skip
    def test_grey_of_any_numbers_is_the_same_picture(self, tmp_path: Path, values: Any) -> None:
        expected = torch.from_numpy(GREY / 255).float()
        assert torch.allclose(saved(values, tmp_path / "a.tif"), expected, atol=1.01 / 255)

    def test_what_is_no_number_is_black(self, tmp_path: Path) -> None:
        values = np.full((4, 4), 0.5, np.float32)
        values[0, 0] = np.nan
        found = saved(values, tmp_path / "a.tif")
        assert (float(found[0, 0]), round(float(found[1, 1]), 2)) == (0, 0.5)
        assert float(saved(np.full((4, 4), np.nan, np.float32), tmp_path / "b.tif").max()) == 0


PROFILE = Path(__file__).parents[1] / "cases" / "prophoto.png"


def prophoto_to_srgb(*colour: int) -> list[float]:
    """A reference by the two standards: ROMM RGB (ISO 22028-2) to XYZ under D50, and that to sRGB (IEC 61966-2-1)."""
    to_xyz = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71187, 0.00009], [0, 0, 0.82521]])
    to_linear = np.array(
        [[3.13386, -1.61687, -0.49061], [-0.97877, 1.91614, 0.03345], [0.07195, -0.22899, 1.40524]]
    )
    linear = to_linear @ to_xyz @ (np.array(colour) / 255) ** 1.8
    return list(255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear))


@pytest.fixture
def profile() -> bytes:
    with Image.open(PROFILE) as image:
        return bytes(image.info["icc_profile"])


class TestColours:
    @pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif", "palette", "alpha"])
    def test_a_profile_is_applied_in_every_format(
        self, tmp_path: Path, picture: Image.Image, profile: bytes, kind: str
    ) -> None:
        flat = Image.new("RGB", (16, 16), (100, 150, 80))
        image = {"palette": flat.quantize(4), "alpha": flat.convert("RGBA")}.get(kind, flat)
        path = tmp_path / (f"a.{kind}" if kind not in ("palette", "alpha") else "a.png")
        image.save(path, icc_profile=profile, quality=95)
        found = (load_image(path)[0, :, 8, 8] * 255).tolist()
        assert found == pytest.approx(prophoto_to_srgb(100, 150, 80), abs=3)

    @pytest.mark.parametrize("broken", [b"hello" * 50, b"\0", "cut"])
    def test_a_broken_profile_is_passed_by(
        self, tmp_path: Path, picture: Image.Image, profile: bytes, broken: bytes | str
    ) -> None:
        picture.save(tmp_path / "a.png", icc_profile=profile[:200] if isinstance(broken, str) else broken)
        assert torch.equal(pixels(tmp_path / "a.png"), torch.from_numpy(np.asarray(picture).copy()))

    def test_srgb_itself_changes_nothing(self, tmp_path: Path, picture: Image.Image) -> None:
        own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        picture.save(tmp_path / "a.png", icc_profile=own)
        assert torch.equal(pixels(tmp_path / "a.png"), torch.from_numpy(np.asarray(picture).copy()))

    @pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
    def test_broken_exif_is_passed_by(self, tmp_path: Path, picture: Image.Image, exif: bytes) -> None:
        picture.save(tmp_path / "a.jpg", exif=exif)
        assert load_image(tmp_path / "a.jpg").shape == (1, 3, 6, 9)

    def test_a_large_picture_warns_nobody(
        self,
        tmp_path: Path,
        picture: Image.Image,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
        picture.save(tmp_path / "a.png")
        assert load_image(tmp_path / "a.png").shape == (1, 3, 6, 9)
        assert capfd.readouterr().err == ""


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
@pytest.mark.parametrize("read", [load_image, read_metadata])
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
        read_metadata(tmp_path / "a.png")


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
