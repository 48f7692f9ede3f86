"""A second CLIP that never paints: it ranks pictures against prompts, so that a painting can't flatter its own painter.

Another image tower (Lite1, at a larger side) and heads of its own, trained apart; sentences are read by MiniLM itself.

Letters in shapes: n pictures 3 s s in [0, 1], m sentences, f = 1280 features, e = 512 dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from training import options, work
from training.images.dataset import Dataset
from training.scenes.captioned import SceneComposer
from training.scenes.captions import Names
from training.towers.heads import Features, Heads, Imagined, collect, fit
from training.towers.lite import features, folded, pretrained_tower
from training.towers.retrieval import retrieval
from training.towers.sentences import Sentences

SIDE = 160
TOWER = 1  # EfficientNet-Lite1


class Judge(nn.Module):
    """Pictures and sentences → unit vectors."""

    def __init__(self, sentences: Sentences, side: int = SIDE):
        super().__init__()
        import timm  # noqa: PLC0415

        self.tower, self.heads = folded(timm.create_model(f"tf_efficientnet_lite{TOWER}")), Heads()
        self.tower.classifier = nn.Identity()
        self.sentences, self.side = sentences, side

    @classmethod
    def open(cls, file: Path, sentences: Sentences | None = None) -> Judge:
        """The judge of a file of weights, in fp32; without `sentences` it reads with MiniLM."""
        judge = cls(sentences or Sentences())
        judge.load_state_dict(load_file(file))
        return judge.eval().requires_grad_(False)

    def see(self, images: Tensor) -> Tensor:
        """Pictures of any side n 3 h w in [0, 1] → n e."""
        size = (self.side, self.side)
        if images.shape[-2:] != size:
            images = F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False).clamp(
                0, 1
            )
        return self.heads.see(features(self.tower, images))

    def read(self, texts: Sequence[str]) -> Tensor:
        """Sentences → m e."""
        return self.heads.read(self.sentences(texts))


def train(data: Dataset, minutes: float, folder: Path, smoke: bool = False) -> Judge:
    """Look at compositions for half of the time, then fit the heads; a finished half is kept in `folder`."""
    torch.manual_seed(101)
    sentences, side = Sentences(stand_in=smoke), 64 if smoke else SIDE
    tower = pretrained_tower(TOWER, stand_in=smoke)
    imagined = Imagined(tower.classifier, sentences, only=20 if smoke else 1000)
    judge = Judge(sentences, side)
    tower = folded(tower)
    tower.classifier = nn.Identity()
    judge.tower.load_state_dict(tower.state_dict())
    path = folder / "features.pt"
    if not path.is_file():
        composer = SceneComposer(data, data.rows("train"), data.wallpaper_rows("train"), 101, side, Names())
        seen = collect(tower.bfloat16(), composer, sentences, 0.5 * minutes)
        work.save_snapshot(vars(seen), path)
    known = Features(**torch.load(path, weights_only=True))
    judge.heads = fit(Heads(), known, imagined, 0.5 * minutes, folder / "log.jsonl")
    return judge.eval().requires_grad_(False)


def main(arguments: list[str] | None = None) -> int:
    parser = options.parser("Train the judge, a CLIP of another tower that never paints", "judge", minutes=20)
    given, _ = options.read(parser, arguments)
    judge = train(given.data, given.minutes, given.work, given.smoke)
    told = work.export_tensors(judge.state_dict(), given.out / "model.safetensors")
    with torch.no_grad():
        figures = retrieval(judge.see, judge.read, given.data, judge.side)
    work.log(given.work / "log.jsonl", stage="final", exported=str(given.out), **told, **figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
