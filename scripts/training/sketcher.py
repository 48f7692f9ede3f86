"""Train the Sketcher, from a sentence to a thumbnail of what it says, and fill its Sketchbook.

A sentence has many pictures, and their mean is a blur. So there are several guesses, and each picture teaches only the
best of them (multiple choice learning, arXiv 1606.07839): they spread over the pictures.

Letters in shapes: n pictures, g guesses, e = 512 dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.models.sketch import BOOK, EMBED, GUESSES, READER, SIDE, Sketcher
from vqclip.perceptor import Perceptor

from . import options, sketchbook, work
from .captions import Names
from .compose import Placement, one_thread
from .dataset import Dataset
from .scenes import SceneComposer

COUNT = 45_000  # thumbnails to learn from
ODDS = (
    0.55,
    0.15,
    0.06,
    0.04,
    0.14,
    0.06,
)  # of the composer's kinds: single things more often than a CLIP needs


class SketchComposer(SceneComposer):
    """Compositions as one would like them painted: the thing large, upright and in the middle, on a calm ground."""

    def __init__(self, data: Dataset, seed: int):
        super().__init__(data, data.rows("train"), data.wallpaper_rows("train"), seed, SIDE, Names())
        self.kinds = tuple((odds, kind) for odds, (_, kind) in zip(ODDS, self.kinds, strict=True))

    def sketch(self) -> tuple[Tensor, str]:
        """A picture 3 s s in [0, 1] and the fullest of its sentences: on what it left open, guesses would be spent."""
        image, _, said = self.make()
        full = [sum(value >= 0 for value in vars(claim).values()) for _, claim in said]
        fullest = [text for (text, _), claims in zip(said, full, strict=True) if claims == max(full)]
        return image, fullest[self.random.integers(len(fullest))]

    def placement(self, smallest: float, largest: float, shift: float = 0.3, turn: float = 0.25) -> Placement:
        return Placement(
            self._between(-0.05, 0.05),
            self._between(-0.05, 0.05),
            self._between(0.78, 0.92),
            float(self.random.normal()) * 0.03,
        )

    def background(self, s: int) -> Tensor:
        """White, or a sky that pales: what a ground could be else, the words must say."""
        if self.random.random() < 0.4:
            return self.plain(s, "white")
        top, bottom = (
            torch.tensor(colour).view(3, 1, 1) for colour in ((0.55, 0.78, 0.95), (0.93, 0.96, 0.95))
        )
        return torch.lerp(top, bottom, torch.linspace(0, 1, s)[:, None]).expand(3, s, s)


@dataclass
class Thumbnails:
    """Pictures and what is said of them."""

    pixels: Tensor  # n 3 32 32, bytes
    wishes: Tensor  # n e, 16-bit


def gather(composer: SketchComposer, read: Callable[[list[str]], Tensor], count: int) -> Thumbnails:
    """Compose so many pictures, and embed each one's sentence."""
    with one_thread():
        made = [composer.sketch() for _ in range(count)]
    order = sorted(range(count), key=lambda i: len(made[i][1]))  # batches of like lengths
    wishes = torch.empty(count, EMBED, dtype=torch.float16)
    for begin in range(0, count, 256):
        chosen = order[begin : begin + 256]
        wishes[chosen] = read([made[i][1] for i in chosen]).half()
    return Thumbnails(torch.stack([(image * 255).round().byte() for image, _ in made]), wishes)


@torch.no_grad()
def begin(sketcher: Sketcher, known: Thumbnails, most: int = 12_000) -> Sketcher:
    """Start from the wishes' scale and the pictures' principal components: only their link is left to learn."""
    wishes, pixels = known.wishes[:most].float(), known.pixels[:most].flatten(1).float() / 255 - 0.5
    sketcher.centre.copy_(wishes.mean(0))
    sketcher.spread.copy_(wishes.std(0) + 1e-3)
    basis = sketcher.basis
    rank = min(basis.in_features, len(pixels) - 1)
    _, size, directions = torch.pca_lowrank(pixels, rank)
    basis.weight.zero_()
    basis.weight[:, :rank] = directions * size / len(pixels) ** 0.5
    basis.bias.copy_(pixels.mean(0))
    return sketcher


def distance(made: Tensor, true: Tensor) -> Tensor:
    """Squares and, for crispness, absolute differences: n … 3 32 32 → n …"""
    apart = made - true
    return (apart.square() + 0.15 * apart.abs()).mean((-3, -2, -1))


def fit(
    sketcher: Sketcher,
    known: Thumbnails,
    minutes: float,
    log: Path,
    *,
    astray: float = 0.1,
    batch: int = 256,
    rate: float = 1.5e-3,
) -> Sketcher:
    optimizer = torch.optim.AdamW(sketcher.parameters(), rate, weight_decay=0.02)
    clock, step, tell, threads = work.Clock(minutes), 0, work.Every(20), work.Threads()
    average = work.Average(sketcher)
    while clock.progress < 1 or step == 0:
        threads.adapt()
        work.set_rate(optimizer, rate * work.falling(clock.progress, step))
        rows = torch.randint(len(known.pixels), (min(batch, len(known.pixels)),))
        true = known.pixels[rows].float() / 255
        wish = known.wishes[rows].float()
        wish = F.normalize(wish + 0.01 * torch.randn_like(wish), dim=1)
        guess = best_guess(sketcher, wish, true)
        lost = torch.rand(len(rows)) < astray  # so that no guess is left behind untaught
        guess[lost] = torch.randint(GUESSES, (int(lost.sum()),))
        loss = distance(sketcher(wish, guess), true).mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        average.update(sketcher)
        step += 1
        if tell.due():
            work.log(log, step=step, minutes=clock.spent / 60, loss=float(loss.detach()))
    return average.module


@torch.no_grad()
def best_guess(sketcher: Sketcher, wish: Tensor, true: Tensor) -> Tensor:
    """Which guess at each wish (n e) comes nearest to the true picture (n 3 32 32): n."""
    apart = []
    for number in range(GUESSES):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = sketcher(wish, torch.full((len(wish),), number))
        apart.append(distance(made.float(), true))
    return torch.stack(apart).argmin(0)


def main(arguments: list[str] | None = None) -> int:
    parser = options.parser("Train the sketcher", "mini-sketch", minutes=14)
    given, _ = options.read(parser, arguments)
    torch.manual_seed(77)
    path, reader = given.work / "thumbnails.pt", Perceptor(READER, torch.device("cpu"), torch.float32)
    if not path.is_file():
        composer = SketchComposer(given.data, seed=77)
        work.save_snapshot(vars(gather(composer, reader.embed_texts, 100 if given.smoke else COUNT)), path)
    known = Thumbnails(**torch.load(path, weights_only=True))
    sketcher = fit(begin(Sketcher(), known), known, given.minutes, given.work / "log.jsonl")
    book = {f"{BOOK}{name}": pages for name, pages in sketchbook.fill(given.data, reader.embed_texts).items()}
    told = work.export_tensors(sketcher.state_dict() | book, given.out / "model.safetensors")
    work.log(given.work / "log.jsonl", stage="final", exported=str(given.out), **told)
    return 0
