"""Start from an image that the perceptors' gradients make of grey, in pixels of many resolutions."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vqclip.config.rules import within
from vqclip.config.timeline import Frame, FramePrompt, Stage
from vqclip.guidance.interfaces import FirstImage, Start, StartTools

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor

    from vqclip.config.schema import Config


@dataclass(frozen=True, kw_only=True)
class AscentStart(Start):
    """Start from an image by the drawer `pyramid`, with that drawer's recipe: `steps` steps, `side` pixels wide.

    A latent finds shapes slowly: each of its cells sees a small part of the image. All resolutions of an image at once
    find them fast ("Direct Ascent Synthesis", arXiv 2502.07753); the drawer then goes on from there.
    """

    steps: int = within(1, default=60)
    side: int = within(16, default=160)  # the longer one, in pixels, of an image that is at least as large

    def prepare(self, tools: StartTools) -> FirstImage:
        """Load nothing but what the perceptors and prompts are: they are the Config's own."""
        from vqclip.guidance.ops import cover  # noqa: PLC0415  # torch

        config = self.config(tools.config)
        draw = tools.draws(config)
        drawn: dict[tuple[Frame, int], Tensor] = {}

        def first_image(frame: Frame, generator: "Generator") -> "Tensor":
            key = self.frame(frame, config), int(generator.initial_seed())
            image = drawn.get(key)
            if image is None:
                image = draw(*key)
                drawn.clear()  # the frames of a scene ask for its image one after the other
                drawn.update({} if tools.stop.stopped else {key: image})
            return cover(image, frame.height, frame.width)

        return first_image

    def outlook(self, device: "torch.device", dtype: "torch.dtype") -> str:
        return f"{self.steps} steps of the drawer pyramid, at most {self.side} pixels wide"

    def frame(self, of: Frame, config: "Config") -> Frame:
        """Give the frame of the ascent: the same for all frames of a scene, though they fade from the scene before."""
        return Frame(
            index=0, prompts=tuple(FramePrompt(known.prompt) for known in of.prompts), scene=of.scene,
            width=config.width, height=config.height, steps=self.steps, stages=(Stage(1.0, 0, self.steps),),
        )  # fmt: skip

    def config(self, of: "Config") -> "Config":
        """Give the Config of the ascent: the drawer's recipe, with the prompts and perceptors of another Config."""
        from vqclip.config import resolve as configs  # noqa: PLC0415  # it imports what configs name

        scale = min(1.0, self.side / max(of.width, of.height))
        width, height = (max(2, 2 * round(side * scale / 2)) for side in (of.width, of.height))
        recipe = configs.resolve({"drawer": "pyramid", "size": f"{width}x{height}", "steps": self.steps})
        return replace(
            recipe,
            prompts=of.prompts,
            texts=of.texts,
            perceptors=of.perceptors,
            precision=of.precision,
            tile=of.tile,
        )
