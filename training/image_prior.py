"""Train the image prior: python -m training.image_prior --packed FILE --out FILE

It turns mini-clip-2's embedding of a sentence into the embedding that an image of it would have, as the prior of
DALL·E 2 does (Ramesh et al., 2022, arXiv 2204.06125), but as one guess and no sample. It learns from painted scenes.

Letters in shapes: n scenes, e dimensions of an embedding.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from training import work
from training.argument_types import whole
from training.packed.file import HELD_OUT, Packed
from training.scenes.batches import Painter
from training.scenes.draws import SceneDraws
from vqclip.models.image_prior import ImagePrior

CLIP = Path(__file__).resolve().parents[1] / "checkpoints" / "mini-clip-2"
SIDE, PAINTED, CALM = 128, 64, 0.5
HIDDEN, BATCH, STEPS, RATE, TEMPERATURE = 192, 512, 1500, 2e-3, 0.05


@dataclass(frozen=True)
class Pairs:
    """Embeddings of sentences and of the images that they were said of (n e)."""

    said: Tensor
    seen: Tensor


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packed", type=Path, required=True, metavar="FILE", help="of training.pack")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the weights")
    parser.add_argument("--scenes", type=whole(), default=8000, help="to learn from (default: 8000)")
    parser.add_argument("--tried", type=whole(), default=500, help="held-out scenes (default: 500)")
    parser.add_argument("--steps", type=whole(), default=STEPS, help=f"of training (default: {STEPS})")
    parser.add_argument("--threads", type=whole(), default=torch.get_num_threads(), help="of the CPU")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    packed = Packed.open(given.packed)
    prior = fit(embedded(packed, "train", given.scenes, 1), given.steps)
    work.export_tensors(prior.state_dict(), given.out, prior.to_note())
    for title, split, seed in (("trained on", "train", 2), ("held-out names", HELD_OUT, 3)):
        print(report(title, prior, embedded(packed, split, given.tried, seed)), flush=True)
    return 0


@torch.no_grad()
def embedded(packed: Packed, split: str, count: int, seed: int) -> Pairs:
    """Draw scenes of a split's cut-outs, and embed their images and their first sentences."""
    rows = packed.rows(split)
    rows = rows if len(rows) else packed.rows("train")
    draws = SceneDraws(packed.index, rows, packed.wall_index, seed, CALM)
    painter = Painter(packed.sprites, packed.walls, torch.device("cpu"))
    clip, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{CLIP}")
    clip.eval()
    mean, std = (
        torch.tensor(preprocess.transforms[-1].__dict__[key]).view(3, 1, 1) for key in ("mean", "std")
    )
    generator, said, seen = torch.Generator().manual_seed(seed), [], []
    for begin in range(0, count, PAINTED):
        scenes = [draws.make() for _ in range(min(PAINTED, count - begin))]
        images = painter.paint(scenes, SIDE, generator)
        seen.append(clip.encode_image((images - mean) / std, normalize=True).float())
        said.append(packed.reader([scene.said[0] for scene in scenes]))
    return Pairs(torch.cat(said), torch.cat(seen))


def fit(pairs: Pairs, steps: int) -> ImagePrior:
    """Learn to come near to each sentence's image, and nearer than to those of other sentences."""
    torch.manual_seed(1)
    prior = ImagePrior(pairs.said.shape[1], HIDDEN, "mini-clip-2")
    prior.begin(pairs.said.mean(0), pairs.seen.mean(0))
    optimizer = torch.optim.AdamW(prior.parameters(), RATE, weight_decay=0.05)
    for step in range(steps):
        work.set_rate(optimizer, RATE * work.falling(step / steps, step))
        chosen = torch.randint(len(pairs.said), (min(BATCH, len(pairs.said)),))
        guessed, seen = prior(pairs.said[chosen]), pairs.seen[chosen]
        likeness = guessed @ seen.T
        loss = (1 - likeness.diag()).mean() + 0.1 * F.cross_entropy(
            likeness / TEMPERATURE, torch.arange(len(seen))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return prior.eval().requires_grad_(False)


def report(title: str, prior: ImagePrior, pairs: Pairs) -> str:
    """How near text and guess come to the image, and how often the own image is the nearest of all."""
    told = []
    for name, given in (("text", pairs.said), ("guess", prior(pairs.said))):
        likeness = given @ pairs.seen.T
        first = (likeness.argmax(1) == torch.arange(len(given))).float().mean()
        told.append(f"{name} {float(likeness.diag().mean()):.3f}, first {float(first):.0%}")
    return f"{title}, cosine to the image of {len(pairs.said)}: {'; '.join(told)}"


if __name__ == "__main__":
    raise SystemExit(main())
