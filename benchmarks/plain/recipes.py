"""The loops of five earlier programs, each as its makers run it: rates, pulls, averages. Crops are given from outside.

Letters in shapes: n views, s pixels of a view's side, h w pixels of the picture, m texts, e numbers of an embedding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plain.decoder import Painter
from benchmarks.plain.loop import ClampWithGrad, Eye, ReplaceGrad, quantize
from vqclip.models.clip import find_clip

Look = Callable[[int, int, Tensor], Tensor]  # step, number of the eye, picture (1 3 h w) -> views (n 3 s s)


@dataclass(frozen=True)
class Text:
    """A prompt with its weight and its stop."""

    text: str
    weight: float = 1.0
    stop: float = float("-inf")


class Judge(Eye):
    """A CLIP and the embeddings (m e) of several texts."""

    def __init__(self, name: str, texts: Sequence[Text]):
        super().__init__(name, texts[0].text)
        self.texts = texts
        tokenizer = open_clip.get_tokenizer(find_clip(name).architecture)
        with torch.no_grad():
            self.wishes = [self.model.encode_text(tokenizer([text.text])) for text in texts]

    def losses(self, views: Tensor) -> list[Tensor]:
        """The weighted distance of views (n 3 s s) from each text; below its stop it has no gradient."""
        seen = F.normalize(self.model.encode_image((views - self.mean) / self.std), dim=-1)
        found = []
        for text, wish in zip(self.texts, self.wishes, strict=True):
            sign = 1.0 if text.weight >= 0 else -1.0
            distances = sign * (seen - F.normalize(wish, dim=-1)).norm(dim=-1).div(2).arcsin().square() * 2
            stop = torch.tensor(text.stop)
            found.append(abs(text.weight) * ReplaceGrad.apply(distances, distances.maximum(stop)).mean())
        return found


@dataclass
class Recipe:
    """nerdyrodent's loop: Adam at one rate on a latent (1 d y x), and nothing besides the texts.

    The others differ from it in one method or two.
    """

    painter: Painter
    judges: Sequence[Judge]
    z: Tensor
    look: Look
    steps: int
    rate: float = 0.1

    def __post_init__(self) -> None:
        codebook = self.painter.codebook
        self.low, self.high = (bound.view(1, -1, 1, 1) for bound in (codebook.amin(0), codebook.amax(0)))
        self.z = self.z.detach().clone().requires_grad_()
        self.start_anew(self.rate)

    def start_anew(self, rate: float) -> None:
        self.adam = torch.optim.Adam([self.z], lr=rate)

    def draw(self) -> Tensor:
        codes = quantize(self.z.movedim(1, 3), self.painter.codebook).movedim(3, 1)
        return ClampWithGrad.apply((self.painter(codes) + 1) / 2)

    def before(self, step: int) -> None:
        """What is changed before a step."""

    def others(self, step: int, image: Tensor) -> list[Tensor]:
        """Losses besides the texts."""
        return []

    def after(self) -> None:
        """What is noted after a step."""

    def run(self) -> Iterator[list[float]]:
        """Take all steps; every step's losses, those of the texts first."""
        for step in range(self.steps):
            self.before(step)
            self.adam.zero_grad(set_to_none=True)
            image = self.draw()
            views = [self.look(step, k, image) for k in range(len(self.judges))]
            texts = [judge.losses(seen) for judge, seen in zip(self.judges, views, strict=True)]
            losses = [*chain.from_iterable(texts), *self.others(step, image)]
            torch.autograd.backward(torch.stack(losses).sum())
            self.adam.step()
            with torch.no_grad():
                self.z.copy_(self.z.maximum(self.low).minimum(self.high))
            self.after()
            yield [loss.item() for loss in losses]


class Pixray(Recipe):
    """A tenth of the rate for the last quarter."""

    def before(self, step: int) -> None:
        if step >= 0.75 * (self.steps - 1):
            self.adam.param_groups[0]["lr"] = self.rate / 10


@dataclass
class CrowsonMSE(Recipe):
    """Epochs with a fresh Adam each; half the mean square of the latent counts, with a weight that falls to nothing."""

    epochs: int = 5
    weight: float = 1.5

    def epoch(self, step: int) -> int:
        return step // (self.steps // self.epochs)

    def before(self, step: int) -> None:
        if step and self.epoch(step) > self.epoch(step - 1):
            self.start_anew(self.rate)

    def others(self, step: int, image: Tensor) -> list[Tensor]:
        weight = self.weight * (1 - self.epoch(step) / self.epochs)
        return [weight * F.mse_loss(self.z, torch.zeros_like(self.z)) / 2]


@dataclass
class Pytti(Recipe):
    """The picture's total variation, and a moving average of the latent, which is what people are shown."""

    smoothing: float = 0.02
    decay: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        self.biased, self.taken = torch.zeros_like(self.z), 0

    def others(self, step: int, image: Tensor) -> list[Tensor]:
        rows, columns = image.diff(dim=2), image.diff(dim=3)
        return [self.smoothing * (rows.square().mean() + columns.square().mean())]

    def after(self) -> None:
        self.biased = self.decay * self.biased + (1 - self.decay) * self.z.detach()
        self.taken += 1

    @property
    def average(self) -> Tensor:
        return self.biased / (1 - self.decay**self.taken)
