"""Train the mini CLIP: heads on frozen towers, a small text tower, a robust image tower, and the heads' refit."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training import options, work
from training.images.dataset import Dataset
from training.scenes.captioned import SceneComposer
from training.scenes.captions import Claim, Names, table
from training.scenes.compose import one_thread
from training.towers.heads import EMBED, Features, Heads, Imagined, collect, fit
from training.towers.lite import MEAN, STD, TOWER, folded, normalise, pretrained_tower
from training.towers.retrieval import retrieval, steady
from training.towers.robust import harden, noisy
from training.towers.robust_losses import Batch, Told
from training.towers.sentences import Sentences, corpus
from training.towers.text import begin_tokens, distil
from training.work import Foreign

CONTEXT = 32
MINUTES = 115.0


@dataclass(frozen=True)
class Plan:
    """Minutes of each stage, and how large everything is."""

    minutes: float = MINUTES
    side: int = 128
    text_width: int = 256
    text_layers: int = 3
    sentences: int = 70_000
    batch: int = 16
    others: int = 3000  # compositions whose sentences an attacked picture is told from
    shares: tuple[float, float, float, float, float] = (0.03, 0.04, 0.06, 0.82, 0.05)

    def stage(self, number: int) -> float:
        return self.minutes * self.shares[number]


def configuration(plan: Plan) -> dict[str, Any]:
    """What open_clip reads: how the model is built and what its pictures must look like."""
    return {
        "model_cfg": {
            "embed_dim": EMBED,
            "vision_cfg": {
                "image_size": plan.side,
                "timm_model_name": TOWER,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "timm_proj_bias": True,
            },
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": 49408,
                "width": plan.text_width,
                "heads": plan.text_width // 64,
                "layers": plan.text_layers,
            },
        },
        "preprocess_cfg": {
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def empty_clip(plan: Plan) -> Foreign:
    """open_clip's own network with random weights."""
    from open_clip.model import CLIP  # noqa: PLC0415

    model: Foreign = CLIP(**configuration(plan)["model_cfg"])
    return model.eval()


def tokenizer() -> Callable[[list[str]], Tensor]:
    from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415

    made: Callable[[list[str]], Tensor] = SimpleTokenizer(context_length=CONTEXT)
    return made


class Workshop:
    """The stages in order; each leaves its result in the work folder and is skipped when that is there."""

    def __init__(self, plan: Plan, data: Dataset, folder: Path, packages: Path, stand_in: bool = False):
        torch.manual_seed(0)
        self.plan, self.data, self.folder, self.packages = plan, data, folder, packages
        self.names = Names()
        self.sentences = Sentences(stand_in)
        self.tower = pretrained_tower(stand_in=stand_in)
        self.imagined = Imagined(self.tower.classifier, self.sentences, only=20 if stand_in else 1000)
        self.clip, self.tokens = empty_clip(plan), tokenizer()

    def composer(self, seed: int) -> SceneComposer:
        train, walls = (rows("train", added=True) for rows in (self.data.rows, self.data.wallpaper_rows))
        return SceneComposer(self.data, train, walls, seed, self.plan.side, self.names)

    def heads(self) -> Heads:
        """Stage one, on the untouched tower."""
        heads, path = Heads(), self.folder / "heads.pt"
        if not path.is_file():
            seen = self.features(self.tower, "features", seed=11, minutes=self.plan.stage(0))
            work.log(
                self.folder / "log.jsonl",
                stage="features",
                pictures=len(seen.values),
                sentences=len(seen.embedded),
            )
            heads = fit(heads, seen, self.imagined, self.plan.stage(1), self.folder / "log.jsonl")
            work.save_snapshot(heads.state_dict(), path)
        heads.load_state_dict(torch.load(path, weights_only=True))
        return heads.eval()

    def text(self, heads: Heads, until: float = 1.0) -> None:
        """Stage two, or the first part of it: fills the text half of `self.clip`."""
        if not (self.folder / "text.pt").is_file():
            begin_tokens(self.clip, self.sentences)
        path = self.folder / "corpus.pt"
        if not path.is_file():
            texts = corpus(self.data, self.packages / "unpacked" / "wordnet-base", self.plan.sentences)
            work.save_snapshot({"texts": texts, "embedded": self.sentences(texts).half()}, path)
        kept = torch.load(path, weights_only=True)
        distil(
            self.clip,
            self.tokens,
            heads,
            kept["texts"],
            kept["embedded"],
            self.plan.stage(2),
            self.folder,
            until=until,
        )

    def robust(self, heads: Heads) -> Foreign:
        """Stage three: a tower that keeps its view."""
        composer = self.composer(seed=int(time.time()))  # a resumed run sees other pictures

        def tell(pairs: list[tuple[str, Claim]]) -> Told:
            with torch.no_grad():
                return Told(
                    heads.read(self.sentences([text for text, _ in pairs])), table([c for _, c in pairs])
                )

        def draw(n: int, side: int) -> Batch:
            named = round(0.65 * n)
            composer.side = side
            with one_thread():
                made = [composer.make() for _ in range(named)]
                pictures = [picture for picture, _, _ in made] + [
                    composer.any(side) for _ in range(n - named)
                ]
                images = noisy(torch.stack(pictures))
            said = tell([pairs[composer.random.integers(len(pairs))] for _, _, pairs in made])
            return Batch(images, table([claim for _, claim, _ in made]), said)

        with one_thread():
            others = tell([pair for _ in range(self.plan.others) for pair in composer.make()[2]])
        return harden(self.tower, heads, draw, others, self.plan.stage(3), self.folder, batch=self.plan.batch)

    def refit(self, tower: Foreign, heads: Heads) -> Heads:
        """Stage four: the picture's projection again, on the robust tower; sentences keep their places."""
        path = self.folder / "refit.pt"
        if not path.is_file():
            seen = self.features(tower, "features-robust", seed=37, minutes=self.plan.stage(4) * 0.65)
            refitted = fit(
                copy.deepcopy(heads),
                seen,
                self.imagined,
                self.plan.stage(4) * 0.35,
                self.folder / "log.jsonl",
                image_only=True,
                rate=1e-3,
            )
            work.save_snapshot(refitted.state_dict(), path)
        heads = Heads()
        heads.load_state_dict(torch.load(path, weights_only=True))
        return heads.eval()

    def features(self, tower: Foreign, name: str, seed: int, minutes: float) -> Features:
        path = self.folder / f"{name}.pt"
        if not path.is_file():
            made = collect(folded(tower).bfloat16(), self.composer(seed), self.sentences, minutes)
            work.save_snapshot(vars(made), path)
        return Features(**torch.load(path, weights_only=True))

    def assemble(self, tower: Foreign, heads: Heads) -> Foreign:
        """Put tower and projection into the image half."""
        self.clip.visual.trunk.load_state_dict(tower.state_dict(), strict=False)
        self.clip.visual.head.proj.load_state_dict(heads.image.state_dict())
        with torch.no_grad():
            self.clip.logit_scale.copy_(heads.scale.clamp_max(math.log(60)))
        return self.clip

    def see(self, images: Tensor) -> Tensor:
        """Pictures n 3 s s in [0, 1] → unit vectors n e."""
        seen: Tensor = self.clip.encode_image(normalise(images), normalize=True)
        return seen

    def read(self, texts: list[str]) -> Tensor:
        """Sentences → unit vectors n e."""
        read: Tensor = self.clip.encode_text(self.tokens(texts), normalize=True)
        return read

    def deliver(self, tower: Foreign, heads: Heads, out: Path, label: str) -> None:
        """Export, then say how good it is on what was held out."""
        told = export(self.assemble(tower, heads), self.plan, out)
        figures = retrieval(self.see, self.read, self.data, self.plan.side)
        figures["steady"] = steady(tower, self.tower, heads, self.data, self.plan.side)
        work.log(self.folder / "log.jsonl", stage=label, exported=str(out), **told, **figures)


def export(clip: Foreign, plan: Plan, out: Path) -> dict[str, str]:
    """A folder that open_clip loads as `local-dir:`."""
    told = work.export_tensors(clip.state_dict(), out / "open_clip_model.safetensors")
    work.write_text(out / "open_clip_config.json", json.dumps(configuration(plan), indent=2) + "\n")
    return told


def main(arguments: list[str] | None = None) -> int:
    parser = options.parser("Train the mini CLIP", "mini-clip-2", minutes=MINUTES)
    parser.add_argument("--early", type=Path, help="also export here what there is before the robust stage")
    given, typed = options.read(parser, arguments)
    plan = Plan(minutes=given.minutes)
    if given.smoke:
        plan = Plan(given.minutes, side=64, text_width=64, text_layers=1, sentences=200, batch=2, others=20)
    shop = Workshop(plan, given.data, given.work, given.packages, stand_in=given.smoke)
    heads = shop.heads()
    if typed.early:
        shop.text(heads, until=0.6)
        shop.deliver(shop.tower, heads, typed.early, "early")
    tower = shop.robust(heads)
    shop.text(heads)
    shop.deliver(tower, shop.refit(tower, heads), given.out, "final")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
