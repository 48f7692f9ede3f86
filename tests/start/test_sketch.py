"""A sketch shows what the sentence names, hangs on its seed alone, and fits any size."""

from io import BytesIO
from pathlib import Path

import pytest
import torch
from conftest import Tiny
from PIL import Image
from torch import Generator, Tensor

from vqclip.base.errors import ConfigError, WeightsError
from vqclip.config.prompt import Kind, Prompt, parse
from vqclip.guidance.ops import unit
from vqclip.pipeline.pipeline import Pipeline
from vqclip.start.phrases import outline
from vqclip.start.sketch import Sketch
from vqclip.start.sketchbook import COLUMNS, Sketchbook, load_sketchbook

SIDE, WIDE = 16, 32  # of a drawing in pixels; of meanings
WORDS = ("a ball", "a box", "a sky", "a round thing", "a red ball")
BALL, BOX, SKY, ROUND, RED = range(len(WORDS))


@pytest.fixture
def book() -> Sketchbook:
    """A green ball and a blue box, then a yellow sky that fills its square; each word is an axis of its own."""
    strip, file = Image.new("RGBA", (COLUMNS * SIDE, SIDE)), BytesIO()
    for k, (colour, edge) in enumerate((("lime", 2), ("blue", 2), ("yellow", 0))):
        strip.paste(Image.new("RGBA", (SIDE - 2 * edge,) * 2, colour), (k * SIDE + edge, edge))
    strip.save(file, "WEBP", lossless=True)
    ends = torch.tensor([len(file.getvalue())], dtype=torch.int32)
    strips = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    pages = torch.tensor([[BALL, 0, BALL], [BOX, 1, BOX], [SKY, 2, SKY], [ROUND, 0, BALL]], dtype=torch.int16)
    words = (127 * torch.eye(len(WORDS))).to(torch.int8)
    return Sketchbook(torch.eye(WIDE)[:, : len(WORDS)], words, pages, torch.tensor(2), ends, strips)


class Reader:
    """Sees in a picture the direction of its colour."""

    size = 8

    def embed_crops(self, pixels: Tensor, /) -> Tensor:
        return unit(torch.nn.functional.pad(pixels.mean((2, 3)), (0, WIDE - 3)))


def meaning(text: str) -> Tensor:
    """The axes (1 d) of the words that a text has in it."""
    named = [k for k, word in enumerate(WORDS) if word.split()[-1] in text]
    return unit(torch.eye(WIDE)[named].sum(0, keepdim=True)) if named else torch.eye(WIDE)[-1:]


def read(prompt: Prompt) -> Tensor:
    return meaning(prompt.body)


def draw(book: Sketchbook, line: str, seed: int = 0, height: int = 48, width: int = 64) -> Tensor:
    prompts = parse(line) if line else []
    said = [outline(prompt.body).texts for prompt in prompts if prompt.kind is Kind.TEXT]
    known = {text: meaning(text) for texts in said for text in texts}
    sketch = Sketch(book, Reader(), read, known)
    return sketch.image(prompts, height, width, Generator().manual_seed(seed))


def colour(image: Tensor, name: str) -> float:
    """The share of a picture that is of a colour."""
    want = torch.tensor(
        {"lime": (0.0, 1, 0), "blue": (0.0, 0, 1), "yellow": (1.0, 1, 0), "red": (0.86, 0.1, 0.12)}[name]
    )
    return float(((image[0] - want.view(3, 1, 1)).abs().amax(0) < 0.25).float().mean())


def test_it_is_a_picture_and_hangs_on_its_seed(book: Sketchbook) -> None:
    one, again, other = (draw(book, "a ball", seed) for seed in (1, 1, 2))
    assert one.shape == (1, 3, 48, 64)
    assert torch.equal(one, one.clamp(0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_it_shows_the_thing_that_is_named(book: Sketchbook) -> None:
    ball, box = draw(book, "a ball"), draw(book, "a painting of a box")
    assert colour(ball, "lime") > 0.15
    assert colour(ball, "blue") == 0
    assert colour(box, "blue") > 0.15
    assert colour(box, "lime") == 0


def test_a_scene_fills_the_picture_and_is_a_ground_for_things(book: Sketchbook) -> None:
    assert colour(draw(book, "a sky"), "yellow") > 0.9
    both = draw(book, "a box in a sky")
    assert colour(both, "blue") > 0.1
    assert colour(both, "yellow") > 0.4


def test_two_things_lie_side_by_side_or_one_above_the_other(book: Sketchbook) -> None:
    beside = draw(book, "a ball and a box", height=64)
    assert colour(beside[..., :32], "lime") > 4 * colour(beside[..., 32:], "lime")
    assert colour(beside[..., 32:], "blue") > 4 * colour(beside[..., :32], "blue")
    above = draw(book, "a ball on a box", height=64)
    assert colour(above[:, :, :26], "lime") > 0.1
    assert colour(above[:, :, 40:], "blue") > 0.1


def test_a_colour_and_a_number_are_heeded(book: Sketchbook) -> None:
    assert colour(draw(book, "a red box"), "red") > 0.15
    one, three = draw(book, "a box", height=64), draw(book, "three box", height=64)
    assert 0 < colour(three, "blue") < colour(one, "blue")
    columns = ((three[0, 2] > 0.8) & (three[0, 0] < 0.3))[48]  # the lower two, apart
    assert int((columns[1:] != columns[:-1]).sum()) == 4


def test_the_heaviest_wish_is_drawn(book: Sketchbook) -> None:
    assert colour(draw(book, "a ball:0.5 | a box"), "blue") > 0.15
    assert colour(draw(book, "a ball:0.5 | a box:-1"), "lime") > 0.15


@pytest.mark.parametrize("line", ["", "[noise:3]", "a ball:-1", "of", "in a box", "nothing that is known"])
def test_whatever_is_wished_there_is_a_picture(book: Sketchbook, line: str) -> None:
    assert draw(book, line).isfinite().all()


def test_the_nearest_word_s_drawing_comes_first_and_none_twice(book: Sketchbook) -> None:
    prompt = torch.zeros(WIDE)
    prompt[[BALL, BOX, ROUND]] = torch.tensor([0.1, 0.6, 0.7])
    found = book.search(prompt, 5, scenes=False)
    assert [int(drawing[:3].mean((1, 2)).argmax()) for drawing, _ in found] == [2, 1]
    (_, box), (_, ball) = found
    assert box == pytest.approx(0.6 / 0.86**0.5)
    assert ball == pytest.approx((0.7 * 0.7 + 0.3 * 0.1) / 0.86**0.5), "its name tells beside its other word"
    assert len(book.search(prompt, 1, scenes=False)) == 1


def test_scenes_and_things_are_told_apart(book: Sketchbook) -> None:
    for scenes, count in ((True, 1), (False, 2)):
        found = book.search(torch.ones(WIDE), 9, scenes)
        assert len(found) == count
        assert all((float(drawing[3].mean()) > 0.99) == scenes for drawing, _ in found)


def test_an_unknown_sketchbook_is_refused_with_the_names() -> None:
    with pytest.raises(WeightsError, match="mini-sketch"):
        load_sketchbook("mini-sketsh")


@pytest.mark.parametrize(
    ("region", "box"),
    [
        ("left", (0, 0, 32, 64)), ("right", (32, 0, 64, 64)), ("top", (0, 0, 64, 32)),
        ("0.5,0,0.5,0.5", (32, 0, 64, 32)), ("centre", (16, 16, 48, 48)),
    ],
)  # fmt: skip
def test_a_prompt_s_thing_lies_in_its_region(book: Sketchbook, region: str, box: tuple[int, ...]) -> None:
    left, top, right, bottom = box
    drawn = draw(book, f"a box @ {region}", height=64)
    inside = drawn[..., top:bottom, left:right]
    assert colour(inside, "blue") > 0.1
    assert colour(inside, "blue") * inside[0, 0].numel() == pytest.approx(colour(drawn, "blue") * 64 * 64)


def test_each_thing_lies_in_its_own_region_whatever_the_order(book: Sketchbook) -> None:
    ball, box = (
        draw(book, line, height=64)
        for line in ("a ball @ left | a box @ right", "a box @ left | a ball @ right")
    )
    for image, left, right in ((ball, "lime", "blue"), (box, "blue", "lime")):
        for half, here, there in ((image[..., :32], left, right), (image[..., 32:], right, left)):
            assert colour(half, here) > 0.1
            assert colour(half, there) == 0


def test_a_region_s_thing_lies_over_what_the_other_prompts_show(book: Sketchbook) -> None:
    drawn = draw(book, "a sky | a box @ left", height=64)
    assert colour(drawn[..., :32], "blue") > 0.1
    assert colour(drawn[..., 32:], "yellow") > 0.9
    assert colour(draw(book, "a box | a sky @ top", height=64)[..., :32, :], "yellow") > 0.9


def test_copies_of_a_thing_lie_around_the_centre(book: Sketchbook, tmp_path: Path) -> None:
    drawn = draw(book, "a ball @ edges", height=64)
    assert colour(drawn, "lime") > 0.05
    assert colour(drawn[..., 18:46, 18:46], "lime") == 0
    Image.new("L", (8, 8), 0).save(tmp_path / "none.png")
    assert colour(draw(book, f"a ball @ [{tmp_path / 'none.png'}]"), "lime") == 0


def test_a_prompt_s_region_of_a_negative_weight_is_left_as_it_is(book: Sketchbook) -> None:
    assert torch.equal(draw(book, "a ball | a box @ left:-1"), draw(book, "a ball"))


def test_a_reader_of_another_width_is_refused_in_one_line(tiny: Tiny, tiny_clip: Path) -> None:
    config = tiny(start={"name": "sketch", "reader": str(tiny_clip)})
    with pytest.raises(ConfigError, match=r"texts in 16 numbers, and mini-sketch has words of 512"):
        Pipeline(config, torch.device("cpu"))
