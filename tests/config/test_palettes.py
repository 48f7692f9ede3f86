"""Palettes are read in every spelling, as a key, an option and a loss, and a lock holds to the pixel."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Tiny, Vqclip, paint
from PIL import Image

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs
from vqclip.config.palette import NAMED, ImageColours, parse
from vqclip.media.palette_file import colours

RED, GREEN, BLUE, WHITE, BLACK = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red", [RED]),
        ("#00f", [BLUE]),
        ("#0000ff", [BLUE]),
        ("(255+0+0)", [RED]),
        ("mat:red", [RED]),
        ("red;#00f", [RED, BLUE]),
        ("[black, red, #0f0]", [BLACK, RED, (0, 1, 0)]),
        ("black->white\\3", [BLACK, (0.5, 0.5, 0.5), WHITE]),
        ("red->lime->blue\\5", [RED, (0.5, 0.5, 0), GREEN, (0, 0.5, 0.5), BLUE]),
        ("[red, blue]\\3", [RED, (0.5, 0, 0.5), BLUE]),
        ("black->white\\1", [BLACK]),
        ("black-and-white", [BLACK, WHITE]),
        ("[a.png]\\4", [ImageColours("a.png", 4)]),
        ("dir/a.JPG", [ImageColours("dir/a.JPG", 16)]),
        ("red ; [a.png]", [RED, ImageColours("a.png", 16)]),
    ],
)
def test_spellings(text: str, expected: list[object]) -> None:
    found = parse([text], "palette")
    assert found == [
        each if isinstance(each, ImageColours) else pytest.approx(each, abs=1e-9) for each in expected
    ]


def test_a_range_without_a_number_has_sixteen() -> None:
    assert len(parse(["blue->white"], "palette")) == len(parse(["pixel_green"], "palette")) == 16


@pytest.mark.parametrize("name", NAMED)
def test_every_named_palette_is_one(name: str) -> None:
    assert 2 <= len(set(parse([name], "palette"))) <= 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rouge", "palette: 'rouge' is no colour; write names or hexadecimal digits"),
        ("pico9", "did you mean pico8?"),
        ("red->", "palette: '' is no colour"),
        ("red->blue\\x", "asks for no number of colours; write 1 to 256"),
        ("red->blue\\²", "asks for no number of colours"),
        ("red->blue\\999", "asks for no number of colours"),
        (";".join(["red->blue\\200"] * 2), "400 colours are too many"),
        ("[red, rouge]", "'rouge' is no colour"),
    ],
)
def test_what_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("\\", "\\\\").replace("?", r"\?")) as error:
        configs.resolve({"palette": text})
    assert "\n" not in str(error.value)


def test_a_list_a_text_and_a_section_are_the_same() -> None:
    sections = [{"colours": ["red", "#00f"]}, ["red", "#00f"]]
    found = [configs.resolve({"seed": 1, "palette": given}).palette for given in sections]
    assert found[0] == found[1]
    assert configs.resolve(settings=["palette=[red, #00f]"]).palette == found[0]
    assert configs.resolve({"palette": "red;#00f"}).palette.colours == ["red;#00f"]


def test_an_images_colours_are_its_own(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 10), "teal")
    image.paste("gold", (0, 0, 10, 10))
    image.save(tmp_path / "a.png")
    found = colours(parse(["[a.png]\\2"], "palette"), tmp_path)
    assert {tuple(round(255 * level) for level in rgb) for rgb in found} == {(0, 128, 128), (255, 215, 0)}


class TestLock:
    def test_every_pixel_has_one_of_the_colours(self, tiny: Tiny) -> None:
        image = np.asarray(paint(tiny(palette="gameboy")).image)
        found = {"#{:02x}{:02x}{:02x}".format(*pixel) for pixel in image.reshape(-1, 3)}
        assert len(found) > 1
        assert found <= set(NAMED["gameboy"].split())

    def test_without_a_lock_the_image_is_as_it_was(self, tiny: Tiny) -> None:
        free = tiny(palette={"colours": ["red", "blue"], "lock": False})
        assert np.array_equal(np.asarray(paint(free).image), np.asarray(paint(tiny()).image))

    def test_the_loop_goes_on_under_it(self, tiny: Tiny) -> None:
        """A vignette of one of the colours spreads that colour."""
        given = {"palette": ["red", "blue"], "drawer": "fft", "steps": 40}
        shares = []
        for losses in ({}, {"vignette": {"colour": "blue", "size": 0.1, "weight": 20}}):
            image = np.asarray(paint(tiny(losses=losses, **given)).image)
            shares.append((image[..., 2] == 255).mean())
        assert shares[1] > 0.75 > shares[0] + 0.1


def test_the_options_of_generate(vqclip: Vqclip, tiny_vqgan: Path, tiny_clip: Path, tmp_path: Path) -> None:
    models = [
        "--set",
        f"vqgan={tiny_vqgan}",
        "--set",
        f"perceptors=[{{model: {tiny_clip}}}]",
        "--set",
        "start=grey",
    ]
    done = vqclip(
        "generate", "a", "--size", "16x16", "--steps", 4, *models, "-o", tmp_path / "a.png", "--palette", "red;#00f",
        "--loss", "symmetry:2 -> 1", "--loss", "smoothness", "--filter", "wallpaper:pm", "--save-every", 2,
    )  # fmt: skip
    assert done.code == 0, done.err
    (run,) = Path("runs").iterdir()
    config = configs.resolve(file=run / "config.yaml")
    assert (config.losses["symmetry"].weight, config.losses["tv"].weight) == ("2 -> 1", "1")
    assert (config.filters[0].kind, config.palette.colours) == ("wallpaper", ["red;#00f"])
    assert sorted(path.name for path in (run / "steps").iterdir()) == ["000002.png", "000004.png"]
    stills = [np.asarray(Image.open(run / "steps" / name)) for name in ("000002.png", "000004.png")]
    assert np.array_equal(stills[1], np.asarray(Image.open(tmp_path / "a.png")))
    assert {tuple(pixel) for still in stills for pixel in still.reshape(-1, 3)} <= {(255, 0, 0), (0, 0, 255)}
