"""Train the mini CLIP: heads on frozen towers, a small text tower, a robust image tower, and the heads' refit."""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import work
from .captions import Names
from .compose import one_thread
from .dataset import Dataset, build_smoke
from .heads import EMBED, Features, Heads, Imagined, collect, fit
from .judge import retrieval, steady
from .lite import MEAN, STD, TOWER, folded, pretrained_tower
from .robust import harden, noisy
from .scenes import SceneComposer
from .sentences import Sentences, corpus
from .text_tower import begin_tokens, distil
from .work import Foreign

CONTEXT = 32


@dataclass(frozen=True)
class Plan:
    """Minutes of each stage, and how large everything is."""

    minutes: float = 50.0
    side: int = 128
    text_width: int = 256
    text_layers: int = 3
    sentences: int = 70_000
    batch: int = 16
    shares: tuple[float, float, float, float, float] = (0.07, 0.11, 0.15, 0.59, 0.08)

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
        self.tower = pretrained_tower()
        self.imagined = Imagined(self.tower.classifier, self.sentences, only=20 if stand_in else 1000)
        self.clip = empty_clip(plan)

    def composer(self, seed: int) -> SceneComposer:
        train, walls = self.data.rows("train"), self.data.wallpaper_rows("train")
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
            tokenizer(),
            heads,
            kept["texts"],
            kept["embedded"],
            self.plan.stage(2),
            self.folder,
            until=until,
        )

    def robust(self, heads: Heads) -> Foreign:
        """Stage three: a tower that keeps its view."""
        composer = self.composer(seed=23)

        def draw(n: int) -> Tensor:
            with one_thread():
                pictures = [
                    composer.make()[0] if composer.random.random() < 0.6 else composer.any(self.plan.side)
                    for _ in range(n)
                ]
                return noisy(torch.stack(pictures))

        return harden(self.tower, heads, draw, self.plan.stage(3), self.folder, batch=self.plan.batch)

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

    def deliver(self, tower: Foreign, heads: Heads, out: Path, label: str) -> None:
        """Export, then say how good it is on what was held out."""
        told = export(self.assemble(tower, heads), self.plan, out)
        figures = retrieval(self.clip, tokenizer(), self.data, self.plan.side)
        figures["steady"] = steady(tower, self.tower, heads, self.data, self.plan.side)
        work.log(self.folder / "log.jsonl", stage=label, exported=str(out), **told, **figures)


def export(clip: Foreign, plan: Plan, out: Path) -> dict[str, str]:
    """A folder that open_clip loads as `local-dir:`."""
    told = work.export_tensors(clip.state_dict(), out / "open_clip_model.safetensors")
    work.write_text(out / "open_clip_config.json", json.dumps(configuration(plan), indent=2) + "\n")
    return told


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train the mini CLIP; a killed run continues where it was.")
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="folder of the data set (default: data)"
    )
    parser.add_argument(
        "--minutes", type=float, default=50.0, help="time for all stages together (default: 50)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("checkpoints/mini-clip"), help="where the weights go"
    )
    parser.add_argument("--work", type=Path, help="folder of the stages' results (default: DATA/work/clip)")
    parser.add_argument("--early", type=Path, help="also export here what there is before the robust stage")
    parser.add_argument("--smoke", action="store_true", help="tiny, on plain shapes; no network, no data set")
    given = parser.parse_args(arguments)
    plan = Plan(minutes=given.minutes)
    if given.smoke:
        plan = Plan(given.minutes, side=64, text_width=64, text_layers=1, sentences=200, batch=2)
        if not (given.data / "sprites.jsonl").is_file():
            build_smoke(given.data)
    shop = Workshop(
        plan,
        Dataset.open(given.data),
        given.work or given.data / "work" / "clip",
        given.data / "packages",
        stand_in=given.smoke,
    )
    heads = shop.heads()
    if given.early:
        shop.text(heads, until=0.6)
        shop.deliver(shop.tower, heads, given.early, "early")
    tower = shop.robust(heads)
    shop.text(heads)
    shop.deliver(tower, shop.refit(tower, heads), given.out, "final")
    return 0
