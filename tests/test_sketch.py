"""A sketch has the wishes' colours in the right places, hangs on its seed alone, and fits any size."""

import pytest
import torch
from torch import Generator, Tensor

from vqclip.errors import WeightsError
from vqclip.models.sketch import EMBED, GUESSES, SIDE, Sketcher, load_sketcher
from vqclip.ops import unit
from vqclip.prompt import Prompt, parse
from vqclip.sketch import Sketch, centred


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
    return Sketch(Sketcher().eval(), Reader(), wishes.__getitem__)


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
    made = Sketch(Flat(), Reader(), lambda _: torch.eye(EMBED)[:1])
    means = [draw(made, [red], seed).mean((0, 2, 3)) for seed in range(8)]
    assert all(mean.argmax() == 0 for mean in means)


def test_no_wish_at_all_still_gives_a_picture(wishes: dict[Prompt, Tensor]) -> None:
    assert draw(sketch(wishes), []).isfinite().all()


def test_guesses_differ() -> None:
    torch.manual_seed(0)
    made = Sketcher()(torch.randn(1, EMBED).expand(GUESSES, -1), torch.arange(GUESSES))
    assert made.shape == (GUESSES, 3, SIDE, SIDE)
    assert len({tuple(picture.flatten().tolist()) for picture in made}) == GUESSES


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
