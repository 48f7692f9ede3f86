"""Make a first image that already shows what the prompt names, from drawings arranged as it says."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, product
from pathlib import Path

import torch
from torch import Tensor

from vqclip.config.prompt import READ, Prompt
from vqclip.guidance import ops
from vqclip.guidance.objective import Embeds
from vqclip.guidance.regions import mask_of
from vqclip.start.layout import Layer, Layout, copies, has, pale_sky, plain, tint
from vqclip.start.phrases import COLOURS, Phrase, outline
from vqclip.start.sketchbook import Sketchbook

GRAIN = 0.1  # amplitude of the noise over the image, which gives the optimisation texture to work on
FIRMNESS = 60.0  # inverse temperature of the softmax over layouts, per unit of cosine to the prompt
DOUBT = 0.5  # weight of the layout's fidelity beside that cosine
LEEWAY = 0.04  # how far below the best fidelity a layout may lie, and still be considered
THINGS, SCENES = 10, 8  # how many of each are considered
PLACED, GROUNDS = 5, 5  # things that are placed in scenes, and the number of those scenes
HEAD = 0.3  # weight of the head noun's embedding in a thing's embedding
BARE = 0.3  # fidelity of a plain background where the prompt names a place
KNOWN = 0.75  # cosine to its nearest word that a second thing needs to be drawn
# Where to place two things that a preposition links: centre and size of the first and of the second.
_Part = tuple[float, float, float]
_UPPER, _LOWER, _LEFT, _RIGHT = (0.5, 0.3, 0.64), (0.5, 0.71, 0.64), (0.27, 0.5, 0.6), (0.73, 0.5, 0.6)
_POSITIONS: dict[str, tuple[_Part, _Part]] = (
    dict.fromkeys(("on", "over", "above", "on top of"), (_UPPER, _LOWER))
    | dict.fromkeys(("under", "below"), (_LOWER, _UPPER))
    | dict.fromkeys(("with", "and", "next to", "beside", "near", "by", "behind", "against"), (_LEFT, _RIGHT))
)
_STANDING: _Part = (
    0.5,
    0.58,
    0.82,
)  # in a scene: a little smaller and lower, so that the scene shows around it

Found = tuple[Tensor, float]  # a drawing (4 t t), and the cosine of its nearest word to the text
Proposal = tuple[Layout, float]  # a layout and its fidelity: how much of the prompt it shows, up to 1


class Sketch:
    """Make first images from a Sketchbook, with a Perceptor that compares them to embeddings of the prompts."""

    def __init__(
        self,
        book: Sketchbook,
        reader: Embeds,
        embed: Callable[[Prompt], Tensor],
        texts: Mapping[str, Tensor],
        base: Path = Path(),
    ):
        """`embed` gives a prompt's unit vectors (m d); `texts` has embeddings (1 d) of all `outline(text).texts`.

        Relative paths of regions' masks begin at `base`.
        """
        self.book, self.reader, self._embed, self._texts, self._base = book, reader, embed, texts, base

    @torch.no_grad()
    def image(self, prompts: Sequence[Prompt], height: int, width: int, generator: torch.Generator) -> Tensor:
        """Draw a first image (1 3 h w) in [0, 1] for the weighted prompts, those of a region within it.

        Raises ImageError.
        """
        noise = ops.fractal_noise(height, width, generator)
        if not prompts:
            return noise
        everywhere = [prompt for prompt in prompts if prompt.region is None]
        drawn = self._choose(everywhere, generator) if everywhere else Layout(pale_sky())
        image = drawn.image(height, width)
        for region in dict.fromkeys(
            prompt.region for prompt in prompts if prompt.region and prompt.weight > 0
        ):
            own = [prompt for prompt in prompts if prompt.region == region]
            mask = mask_of(region, self._base, (height, width))
            image = self._choose(own, generator).within(image, mask)
        return (image + GRAIN * (noise - 0.5)).clamp(0, 1)

    def _choose(self, prompts: Sequence[Prompt], generator: torch.Generator) -> Layout:
        """Draw a layout for the weighted prompts; better ones are likelier."""
        directions = [prompt.weight * self._embed(prompt).float().mean(0) for prompt in prompts]
        direction = ops.unit(torch.stack(directions).sum(0))
        proposals = list(self._propose(prompts, direction))
        most = max(fidelity for _, fidelity in proposals)
        proposals = [(layout, fidelity) for layout, fidelity in proposals if fidelity >= most - LEEWAY]
        side = self.reader.size
        images = torch.cat([layout.image(side, side) for layout, _ in proposals])
        likeness = self.reader.embed_crops(images.to(direction.device)).float() @ direction
        likeness += DOUBT * torch.tensor([fidelity for _, fidelity in proposals]).to(likeness)
        taken = torch.multinomial((FIRMNESS * likeness).softmax(0).cpu(), 1, generator=generator)
        return proposals[int(taken)][0]

    def _propose(self, prompts: Sequence[Prompt], direction: Tensor) -> Iterator[Proposal]:
        """Propose layouts for the text prompt of the largest weight; without one, drawings nearest to `direction`."""
        texts = [prompt for prompt in prompts if prompt.kind in READ and prompt.weight > 0]
        if not texts:
            yield from _scenes(self.book.search(direction, SCENES, scenes=True))
            yield from _alone(self.book.search(direction, THINGS, scenes=False), 1, None)
            return
        said = outline(max(texts, key=lambda prompt: prompt.weight).body)
        yield from _scenes(self._grounds(said.whole, SCENES))
        first, *others = said.phrases
        things = self._things(first, THINGS)
        yield from _alone(things, first.count, said.ground, BARE if others else 1.0)
        grounds = self._grounds(said.location, GROUNDS) if others else []
        yield from _placed(things, first.count, grounds)
        for other in others:
            seconds = self._things(other, THINGS)
            if other.link == "with":  # "a desert with cactus": the first thing is where the second is
                yield from _placed(seconds, other.count, self._grounds(first.noun, GROUNDS))
            beside = _POSITIONS.get(other.link)
            if beside and seconds[0][1] > KNOWN and (beside[0] == _LEFT or grounds[0][1] < KNOWN):
                layers = copies(seconds[0][0], other.count)
                yield from _paired(things, first.count, layers, seconds[0][1], beside, said.ground)

    def _grounds(self, text: str, count: int) -> list[Found]:
        return self.book.search(self._texts[text][0], count, scenes=True)

    def _things(self, phrase: Phrase, count: int) -> list[Found]:
        """Find drawings of a thing, and tint them with its colour."""
        embedding = torch.lerp(self._texts[phrase.noun][0], self._texts[phrase.head][0], HEAD)
        found = self.book.search(embedding, count, scenes=False)
        if phrase.colour is None:
            return found
        colour = COLOURS[phrase.colour]
        return [
            (drawing if has(drawing, colour) else tint(drawing[None], colour)[0], near)
            for drawing, near in found
        ]


def _scenes(found: list[Found]) -> Iterator[Proposal]:
    for scene, near in found:
        yield Layout(scene[:3]), near


def _alone(things: list[Found], count: int, colour: str | None, fit: float = 1.0) -> Iterator[Proposal]:
    """Place things on a plain background; `fit` is the fidelity of that background."""
    grounds = [plain(COLOURS[colour])] if colour else [pale_sky(), plain(COLOURS["white"])]
    for (drawing, near), ground in zip(things, cycle(grounds)):
        yield Layout(ground, copies(drawing, count), is_bare=colour is None), (2 * near + fit) / 3


def _placed(things: list[Found], count: int, grounds: list[Found]) -> Iterator[Proposal]:
    """Place things in scenes."""
    for (drawing, near), (scene, fit) in product(things[:PLACED], grounds):
        layers = [layer.within(*_STANDING) for layer in copies(drawing, count)]
        yield Layout(scene[:3], layers), (2 * near + fit) / 3


def _paired(
    things: list[Found],
    count: int,
    other: list[Layer],
    known: float,
    positions: tuple[_Part, _Part],
    colour: str | None,
) -> Iterator[Proposal]:
    """Place things with a second thing beside, above or below them."""
    here, there = positions
    ground = plain(COLOURS[colour]) if colour else pale_sky()
    behind = [layer.within(*there) for layer in other]
    for drawing, near in things:
        layers = [*behind, *(layer.within(*here) for layer in copies(drawing, count))]
        yield Layout(ground, layers, is_bare=colour is None), (2 * near + known) / 3
