"""A sketch has the wishes' colours in the right places, hangs on its seed alone, and fits any size."""

from io import BytesIO

import pytest
import torch
from PIL import Image
from torch import Generator, Tensor

from vqclip.errors import WeightsError
from vqclip.models.sketch import EMBED, GUESSES, SIDE, Sketcher, load_sketcher
from vqclip.models.sketchbook import Sketchbook
from vqclip.ops import unit
from vqclip.prompt import Prompt, parse
from vqclip.sketch import COLOURS, Sketch, centred, ground, lay, subject, tint


@pytest.fixture
def wishes() -> dict[Prompt, Tensor]:
    torch.manual_seed(0)
    return {wish: unit(torch.randn(1, EMBED)) for wish in parse("a | b | c:-1")}


class Reader:
    """Sees in a picture the direction of its colour."""

    size = 8

    def embed_crops(self, pixels: Tensor, /) -> Tensor:
        return unit(torch.nn.functional.pad(pixels.mean((2, 3)), (0, EMBED - 3)))


def sketch(wishes: dict[Prompt, Tensor]) -> Sketch:
    torch.manual_seed(1)
    return Sketch(Sketcher().eval(), Reader(), wishes.__getitem__, {})


def draw(sketch: Sketch, prompts: list[Prompt], seed: int = 0, height: int = 48, width: int = 64) -> Tensor:
    return sketch.picture(prompts, height, width, Generator().manual_seed(seed))


def test_it_is_a_picture_and_hangs_on_its_seed(wishes: dict[Prompt, Tensor]) -> None:
    made = sketch(wishes)
    one, again, other = (draw(made, list(wishes), seed) for seed in (1, 1, 2))
    assert one.shape == (1, 3, 48, 64)
    assert torch.equal(one, one.clamp(0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_every_wish_and_its_weight_tells(wishes: dict[Prompt, Tensor]) -> None:
    made, (a, b, c) = sketch(wishes), list(wishes)
    pictures = [draw(made, prompts) for prompts in ([a], [b], [a, b], [a, c])]
    assert all(not torch.allclose(x, y) for i, x in enumerate(pictures) for y in pictures[:i])


def test_a_guess_that_looks_like_the_wish_is_taken_most_often() -> None:
    colours = torch.eye(3)[[0, 1, 1, 2]]  # one of the four guesses is red

    class Flat(Sketcher):
        def forward(self, wish: Tensor, guess: Tensor) -> Tensor:
            return colours[guess, :, None, None].expand(-1, 3, SIDE, SIDE)

    (red,) = parse("red")
    made = Sketch(Flat(), Reader(), lambda _: torch.eye(EMBED)[:1], {})
    means = [draw(made, [red], seed).mean((0, 2, 3)) for seed in range(8)]
    assert all(mean.argmax() == 0 for mean in means)


def test_no_wish_at_all_still_gives_a_picture(wishes: dict[Prompt, Tensor]) -> None:
    assert draw(sketch(wishes), []).isfinite().all()


def test_guesses_differ() -> None:
    torch.manual_seed(0)
    made = Sketcher()(torch.randn(1, EMBED).expand(GUESSES, -1), torch.arange(GUESSES))
    assert made.shape == (GUESSES, 3, SIDE, SIDE)
    assert len({tuple(picture.flatten().tolist()) for picture in made}) == GUESSES


SQUARES = ("red", "lime", "blue")


@pytest.fixture
def book() -> Sketchbook:
    """Three plain squares; the words for them are the first axes, and the third has two."""
    sheet, file = Image.new("RGBA", (2 * SIDE, 2 * SIDE)), BytesIO()
    for k, colour in enumerate(SQUARES):
        sheet.paste(Image.new("RGBA", (SIDE, SIDE), colour), (k % 2 * SIDE, k // 2 * SIDE))
    sheet.save(file, "WEBP", lossless=True)
    pages = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 2]], dtype=torch.int16)
    words = (127 * torch.eye(4)).to(torch.int8)
    sheet_bytes = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    return Sketchbook(torch.eye(EMBED)[:, :4], words, pages, sheet_bytes, SIDE)


def test_the_nearest_word_s_drawing_comes_first_and_none_twice(book: Sketchbook) -> None:
    meaning = torch.zeros(EMBED)
    meaning[:4] = torch.tensor([0.1, 0.3, 0.5, 0.7])
    drawings, likeness = book.search(meaning, 5)
    assert [int(drawing[:3].mean((1, 2)).argmax()) for drawing in drawings] == [2, 1, 0]
    torch.testing.assert_close(likeness, torch.tensor([0.7, 0.3, 0.1]) / 0.84**0.5)
    assert len(book.search(meaning, 2)[0]) == 2


def test_a_drawing_of_the_subject_begins_the_picture(book: Sketchbook) -> None:
    (wish,) = parse("a photo of a red square in the snow")
    red = torch.eye(EMBED)[:1]
    sketcher = Sketcher()
    torch.nn.init.zeros_(sketcher.basis.weight)
    torch.nn.init.zeros_(sketcher.basis.bias)  # all guesses are grey
    sketcher.book = book
    made = draw(Sketch(sketcher, Reader(), lambda _: red, {wish.body: red}), [wish], height=64)
    assert made[..., 16:-16, 16:-16].mean((0, 2, 3)).argmax() == 0
    assert made[..., 0].mean((0, 2)).std() < 0.1


def test_what_has_no_words_is_guessed_at(book: Sketchbook) -> None:
    (noise,) = parse("[noise:3]")
    sketcher = Sketcher()
    sketcher.book = book
    made = Sketch(sketcher, Reader(), lambda _: torch.eye(EMBED)[:1], {})
    assert draw(made, [noise]).isfinite().all()


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("an owl", "an owl"),
        ("an oil painting of a ship in a storm", "a ship"),
        ("a castle on a hill", "a castle"),
        ("a full moon over a lake", "a full moon"),
        ("a cat and a dog", "a cat"),
        ("", ""),
    ],
)
def test_a_sentence_is_about_what_it_names_first(text: str, thing: str) -> None:
    assert subject(text) == thing


def test_a_drawing_takes_a_colour_and_keeps_its_outline_and_shades() -> None:
    torch.manual_seed(0)
    alpha = (torch.rand(2, 1, SIDE, SIDE) > 0.5).float()
    grey = torch.rand(2, 1, SIDE, SIDE) * alpha
    drawings = torch.cat([grey, grey, grey, alpha], 1)
    red = tint(drawings, COLOURS["red"])
    assert torch.equal(red[:, 3:], alpha)
    assert bool((red[:, :3] <= alpha + 1e-6).all())
    assert red[:, 0].sum() > 2 * red[:, 1].sum()
    inside = alpha[:, 0] > 0
    assert float(torch.corrcoef(torch.stack([red[:, 0][inside], grey[:, 0][inside]]))[0, 1]) > 0.7


def test_a_drawing_lies_on_its_ground(book: Sketchbook) -> None:
    picture = torch.rand(1, 3, SIDE, SIDE)
    laid = lay(book.drawings[:1], ground(picture))
    assert torch.equal(laid[..., 0], ground(picture)[..., 0])
    torch.testing.assert_close(laid[0, :, SIDE // 2, SIDE // 2], torch.tensor([1.0, 0, 0]))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 61), (61, 20)])
def test_the_thing_stays_in_the_middle_of_any_shape(height: int, width: int) -> None:
    thumbnail = torch.zeros(1, 3, SIDE, SIDE)
    thumbnail[..., SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = 1
    made = centred(thumbnail, height, width)
    assert made.shape == (1, 3, height, width)
    assert made[..., height // 2, width // 2].min() > 0.9
    assert made[..., 0, :].abs().max() < 0.1
    assert made[..., :, 0].abs().max() < 0.1


def test_an_unknown_sketcher_is_refused_with_the_names() -> None:
    with pytest.raises(WeightsError, match="mini-sketch"):
        load_sketcher("mini-sketsh")
