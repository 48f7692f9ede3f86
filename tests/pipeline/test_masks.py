"""A mask keeps the rest of the init image to the pixel, and an extension keeps all of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Tiny, Vqclip, paint
from PIL import Image

from vqclip.base.errors import ConfigError
from vqclip.config import resolve as configs
from vqclip.config.sections import MaskConfig
from vqclip.config.sizes import Margins
from vqclip.guidance.masking import feathered, make_canvas

pytestmark = pytest.mark.usefixtures("device")


def write_init(width: int = 16, height: int = 16) -> np.ndarray:
    """Write init.png, an image of noise, and give its pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save("init.png")
    return pixels


def write_mask(transparent: bool = False) -> None:
    """Write mask.png, whose right half is to be rendered anew."""
    levels = np.zeros((16, 16), np.uint8)
    levels[:, 8:] = 255
    mask = Image.fromarray(levels)
    if transparent:
        grey = Image.new("L", mask.size, 255)
        mask = Image.merge("LA", (grey, Image.fromarray(255 - levels)))
    mask.save("mask.png")


@pytest.mark.parametrize("given", [{}, {"transparent": True}])
@pytest.mark.parametrize("feather", [0, 3])
@pytest.mark.parametrize("fill", ["start", "init"])
def test_the_kept_half_is_equal_to_the_byte_and_the_other_changes(
    given: dict[str, bool], feather: int, fill: str, tiny: Tiny
) -> None:
    init = write_init()
    write_mask(**given)
    mask = {"file": "mask.png", "feather": feather, "fill": fill}
    made = np.asarray(paint(tiny(init="init.png", mask=mask)).image)
    assert (made[:, :8] == init[:, :8]).all()
    assert (made[:, 12:] != init[:, 12:]).mean() > 0.5


def test_filters_change_what_is_rendered_anew_and_not_what_is_kept(tiny: Tiny) -> None:
    init = write_init()
    write_mask()
    given: dict[str, Any] = {"filters": ["rotate:90"], "palette": ["red", "blue"]}
    made = np.asarray(paint(tiny(init="init.png", mask={"file": "mask.png"}, **given)).image)
    assert (made[:, :8] == init[:, :8]).all()
    assert {tuple(pixel) for pixel in made[:, 12:].reshape(-1, 3)} <= {(255, 0, 0), (0, 0, 255)}


def test_without_a_mask_no_half_is_kept(tiny: Tiny) -> None:
    init = write_init()
    made = np.asarray(paint(tiny(init="init.png")).image)
    assert (made[:, :8] != init[:, :8]).mean() > 0.5


def test_an_inverted_mask_keeps_the_other_half(tiny: Tiny) -> None:
    init = write_init()
    write_mask()
    made = np.asarray(paint(tiny(init="init.png", mask={"file": "mask.png", "invert": True})).image)
    assert (made[:, 8:] == init[:, 8:]).all()
    assert (made[:, :8] != init[:, :8]).mean() > 0.5


def test_the_crops_see_the_kept_half(tiny: Tiny) -> None:
    """At every stage, also a coarse one, whose image is smaller."""
    write_init()
    Image.new("RGB", (16, 16), "white").save("init.png")
    write_mask()
    seen: list[torch.Tensor] = []
    paint(tiny(init="init.png", mask={"file": "mask.png"}), None, lambda step: seen.append(step.image))
    assert len({image.shape for image in seen}) == 2
    assert all((image[..., : image.shape[3] // 2 - 1] > 0.99).all() for image in seen)


def test_an_extension_grows_the_image(tiny: Tiny) -> None:
    init = write_init()
    made = np.asarray(paint(tiny(init="init.png", size="init", extend="left=8,top=4")).image)
    assert made.shape == (20, 24, 3)
    assert (made[4:, 8:] == init).all()
    assert made[:, :8].std() > 0


def test_a_margin_begins_with_the_reflected_image() -> None:
    image = torch.rand(1, 3, 4, 4)
    canvas = make_canvas(
        image, None, 10, 4, Margins(left=6), MaskConfig(file=None, feather=0, invert=False, fill="init")
    )
    assert torch.equal(canvas.image[..., 2:6], image.flip(3))
    assert torch.equal(canvas.image[..., :2], image[..., 2:])
    assert canvas.mask[0, 0, 0].tolist() == [1] * 6 + [0] * 4


def test_a_feathered_mask_rises_within_its_border() -> None:
    mask = torch.zeros(1, 1, 5, 20)
    mask[..., 10:] = 1
    soft = feathered(mask, 6)[0, 0, 2]
    assert (soft[:10] == 0).all()
    assert (soft.diff() >= 0).all()
    assert 0 < float(soft[11]) < 1
    assert float(soft[-1]) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mask": {"file": "mask.png"}}, "mask.file: it keeps a part of the init image, and there is none"),
        ({"extend": "left=8"}, "extend: it keeps a part of the init image, and there is none"),
        ({"init": "a.png", "extend": "lft=8"}, "extend: 'lft=8' is no margin; .*did you mean left"),
        ({"init": "a.png", "extend": "left=8,left=9"}, "extend: left is there twice"),
        ({"init": "a.png", "extend": "left=999"}, "extend: 'left=999' leaves no room"),
        ({"init": "a.png", "extend": "left=8", "prompts": ["a ^ b"]}, "extend: a mask takes a still"),
        (
            {"init": "a.png", "extend": "left=8", "strength": 0.5},
            "strength: it mixes all of the init image, and extend",
        ),
        ({"size": "init"}, "size: init is the size of the init image, and there is none"),
        ({"size": "init", "init": "gone.png"}, "size: init is the size of gone.png, and it isn't there"),
        ({"size": "large small"}, "size: 'large small' says two things"),
        ({"size": "largish"}, "size: 'largish' is no size"),
        ({"aspect": "16x9"}, "aspect: '16x9' is none"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs.resolve({"seed": 1} | given)


def test_a_mask_that_marks_nothing_is_refused(tiny: Tiny) -> None:
    write_init()
    Image.new("L", (16, 16), 0).save("mask.png")
    with pytest.raises(ConfigError, match=r"mask.file: it marks nothing .*mask.invert=true"):
        paint(tiny(init="init.png", mask={"file": "mask.png"}))


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"size": "init"}, "48x32"),
        ({"size": "init", "extend": "right=8"}, "56x32"),
        ({"size": "small"}, "128x128"),
        ({"size": "widescreen"}, "336x192"),
        ({"size": "large portrait"}, "464x576"),
        ({"size": "256x256", "aspect": "16:9"}, "336x192"),
        ({"size": "init", "aspect": "1:1"}, "32x32"),
    ],
)
def test_sizes_are_worked_out(given: dict[str, object], size: str) -> None:
    write_init(48, 32)
    config = configs.resolve({"seed": 1, "init": "init.png"} | given)
    assert config.size == size
    assert config.aspect is None, "a saved config says the size alone"


def test_the_size_of_a_turned_photo_is_that_of_the_upright_one() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (48, 32)).save("init.jpg", exif=exif)
    assert configs.resolve({"seed": 1, "init": "init.jpg", "size": "init"}).size == "32x48"


def test_the_command_takes_the_size_of_the_init_image(vqclip: Vqclip) -> None:
    write_init(48, 32)
    write_mask()
    Path("c.yaml").write_text("start: noise\n")
    done = vqclip(
        "generate", "a red apple", "-c", "c.yaml", "--init", "init.png", "--mask", "mask.png", "--extend",
        "top=16", "--steps", 1, "--set", "cutouts.count=1", "-o", "out.png", "-q", "--device", "cpu",
    )  # fmt: skip
    assert done.code == 0, done.err
    with Image.open("out.png") as made:
        assert made.size == (48, 48)


def test_configs_without_them_keep_their_digests() -> None:
    """And a config that says their neutral values is the same."""
    plain = configs.resolve({"seed": 1})
    neutral = {"mask": {"file": None, "feather": 0, "invert": False, "fill": "start"}, "extend": None}
    assert configs.resolve({"seed": 1} | neutral).digest == plain.digest
    assert configs.resolve({"seed": 1, "init": "a.png", "extend": "left=8"}).digest != plain.digest
