"""Stage one: pictures and sentences meet in 512 dimensions, on features of frozen towers.

Two teachers: compositions whose words are known, and *ImageNet without its pictures*. The old classifier's weight of a
class says where that class's features point; real features moved that way stand in for the missing photographs, the old
classifier judges them, and the cosines to the thousand class names learn to judge alike.

Letters in shapes: n pictures, m sentences, f = 1280 features, e = 512 dimensions, c = 1000 classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training import work
from training.scenes.captioned import SceneComposer
from training.scenes.captions import Claim, agreement, table
from training.scenes.compose import one_thread
from training.towers.lite import features
from training.towers.sentences import WIDTH, Sentences, classes
from training.work import Foreign

EMBED = 512
CLASS_TEMPLATES = ("{}", "a photo of {}", "a picture of {}")


@dataclass
class Features:
    """What a tower sees in compositions, and what is said of them (two sentences a picture)."""

    values: Tensor  # n f, 16-bit
    shown: Tensor  # n 5, claims
    said: Tensor  # n 2 5
    texts: Tensor  # n 2, rows of `embedded`
    embedded: Tensor  # m 384


class Heads(nn.Module):
    """A linear projection for pictures, two layers for sentences, and a temperature."""

    def __init__(self, features: int = 1280):
        super().__init__()
        self.image = nn.Linear(features, EMBED)
        self.text = nn.Sequential(nn.Linear(WIDTH, 1024), nn.GELU(), nn.Dropout(0.1), nn.Linear(1024, EMBED))
        self.scale = nn.Parameter(torch.tensor(2.7))
        self.class_scale = nn.Parameter(torch.tensor(2.7))

    def see(self, features: Tensor) -> Tensor:
        """n f → unit vectors n e."""
        return F.normalize(self.image(features), dim=-1)

    def read(self, embedded: Tensor) -> Tensor:
        """MiniLM's m 384 → unit vectors m e."""
        return F.normalize(self.text(embedded), dim=-1)


class Imagined:
    """ImageNet without its pictures: pseudo-features, their old logits, and the class names."""

    def __init__(self, classifier: nn.Linear, sentences: Sentences, only: int = 1000):
        self.weight, self.bias = classifier.weight.detach()[:only], classifier.bias.detach()[:only]
        self.directions = F.normalize(self.weight - self.weight.mean(0), dim=1)
        names = classes()[:only]
        self.names = torch.stack([sentences([t.format(name) for name in names]) for t in CLASS_TEMPLATES])

    def loss(self, heads: Heads, features: Tensor) -> Tensor:
        """KL from the old classifier's view of features (n f), half of them moved towards random classes."""
        half = len(features) // 2
        chosen = torch.randint(len(self.weight), (half,))
        length = features[:half].norm(dim=1, keepdim=True) * (0.4 + 0.9 * torch.rand(half, 1))
        moved = (
            features[:half] * (0.3 + 0.7 * torch.rand(half, 1)) + length * self.directions[chosen]
        ).clamp_min(0)
        x = torch.cat([moved, features[half:]])
        teacher = F.log_softmax(x @ self.weight.T + self.bias, dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            names = heads.read(self.names[int(torch.randint(len(self.names), ()))])
            cosines = heads.see(x) @ names.T
        student = F.log_softmax(heads.class_scale.exp().clamp_max(60) * cosines.float(), dim=1)
        return F.kl_div(student, teacher, log_target=True, reduction="batchmean")


def contrast(pictures: Tensor, sentences: Tensor, shown: Tensor, said: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE in both directions with every true pair a positive and every doubtful pair left out."""
    logits = scale.exp().clamp_max(60) * pictures @ sentences.T
    true, possible = agreement(shown, said)
    true = true | torch.eye(len(logits), dtype=torch.bool)  # what was said of a picture is true of it
    logits = logits.masked_fill(possible & ~true, -1e4)
    total = logits.new_zeros(())
    for view, positive in ((logits, true), (logits.T, true.T)):
        share = positive / positive.sum(1, keepdim=True)
        total = total - (share * F.log_softmax(view, dim=1)).sum(1).mean()
    return total / 2


@torch.no_grad()
def collect(
    tower: Foreign, composer: SceneComposer, sentences: Sentences, minutes: float, least: int = 64
) -> Features:
    """Compose pictures for as long as given and keep the tower's pooled features of them."""
    clock, threads = work.Clock(minutes), work.Threads()
    values: list[Tensor] = []
    shown: list[Claim] = []
    said: list[Tensor] = []
    texts: list[list[str]] = []
    while clock.progress < 1 or len(shown) < least:
        threads.adapt()
        with one_thread():
            made = [composer.make() for _ in range(32)]
        values.append(features(tower, torch.stack([image for image, _, _ in made])).half())
        shown += [claim for _, claim, _ in made]
        for _, _, pair in made:
            said.append(torch.stack([table([claim])[0] for _, claim in pair]))
            texts.append([text for text, _ in pair])
    unique = {text: i for i, text in enumerate(dict.fromkeys(text for pair in texts for text in pair))}
    rows = torch.tensor([[unique[text] for text in pair] for pair in texts])
    return Features(torch.cat(values), table(shown), torch.stack(said), rows, sentences(list(unique)))


def fit(
    heads: Heads,
    known: Features,
    imagined: Imagined,
    minutes: float,
    log: Path,
    *,
    image_only: bool = False,
    rate: float = 2e-3,
    batch: int = 768,
    class_weight: float = 0.5,
) -> Heads:
    """Train the heads (or the picture's alone, sentences standing still) for the given time."""
    learnt = list((heads.image if image_only else heads).parameters())
    for parameter in learnt:
        parameter.requires_grad_()
    optimizer = torch.optim.AdamW(learnt, rate, weight_decay=0.05)
    clock, step, tell, threads = work.Clock(minutes), 0, work.Every(20), work.Threads()
    heads.train(not image_only)
    average = work.Average(heads)
    while clock.progress < 1 or step == 0:
        threads.adapt()
        work.set_rate(optimizer, rate * work.falling(clock.progress, step, warmup=50))
        rows = torch.randint(len(known.values), (min(batch, len(known.values)),))
        which = torch.randint(2, (len(rows),))
        x = known.values[rows].float()
        texts = known.embedded[known.texts[rows, which]]
        texts = texts + 0.02 * torch.randn_like(texts)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            seen, read = heads.see(x * (1 + 0.1 * torch.randn_like(x))), heads.read(texts)
        paired = contrast(seen.float(), read.float(), known.shown[rows], known.said[rows, which], heads.scale)
        old = imagined.loss(heads, x[:256])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(paired + class_weight * old)
        optimizer.step()
        average.update(heads)
        step += 1
        if tell.due():
            work.log(
                log,
                stage="heads" if not image_only else "refit",
                step=step,
                contrast=float(paired.detach()),
                classes=float(old.detach()),
                scale=float(heads.scale.detach()),
            )
    return average.module
