"""Sentences for compositions, and what each sentence claims, so that true pairs are not taken for wrong ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from training.images.words import with_article

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
PLAIN_TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "a picture of {}",
    "an image of {}",
    "an icon of {}",
    "this is {}",
    "there is {}",
)
STYLE_TEMPLATES = {
    "photo": ("a photo of {}", "a photograph of {}", "a close-up photo of {}", "a realistic picture of {}"),
    "whole photo": ("a photo of {}", "a photograph of {}", "a realistic picture of {}"),
    "pixel art": (
        "pixel art of {}",
        "a sprite of {}",
        "a small pixel picture of {}",
        "{} in a computer game",
    ),
    "fantasy painting": (
        "a painting of {}",
        "a digital painting of {}",
        "fantasy art of {}",
        "a portrait of {}",
    ),
    "3d emoji": ("a 3d rendering of {}", "a glossy 3d icon of {}", "a 3d emoji of {}", "a plastic toy of {}"),
    "silhouette": ("a silhouette of {}", "a black icon of {}", "a black and white icon of {}"),
    "cartoon": ("a cartoon of {}", "a drawing of {}", "a cartoon drawing of {}", "a comic picture of {}"),
    "clip art": ("clip art of {}", "a drawing of {}", "an illustration of {}", "a vector drawing of {}"),
    "openmoji": (
        "a line drawing of {}",
        "an outlined icon of {}",
        "an emoji of {}",
        "a drawing of {} with black outlines",
    ),
    "fluent-emoji": (
        "a 3d rendering of {}",
        "a glossy icon of {}",
        "a 3d emoji of {}",
        "a shiny illustration of {}",
    ),
    "flat": (
        "an emoji of {}",
        "a flat illustration of {}",
        "an icon of {}",
        "a flat icon of {}",
        "a simple drawing of {}",
    ),
}


@dataclass(frozen=True)
class Claim:
    """What a picture shows or a sentence says; -1 where it is silent or not known."""

    first: int  # identity of an object
    second: int = -1
    colour: int = -1
    place: int = -1
    count: int = -1


@dataclass
class Names:
    """Gives each name its number."""

    numbers: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


def plural(noun: str) -> str:
    """'berry' → 'berries'; good enough for labels."""
    if noun.endswith("s"):
        return noun
    if noun.endswith(("x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def phrase(noun: str, colour: str | None, count: int) -> str:
    """'three red apples', 'an apple', …"""
    words = f"{colour} {noun}" if colour else noun
    return f"{NUMBERS[count]} {plural(words)}" if count > 1 else with_article(words)


def dressed(text: str, style: str, random: np.random.Generator) -> str:
    """Put a phrase into a template that suits the picture's style, or into a plain one."""
    templates = (
        STYLE_TEMPLATES.get(style, STYLE_TEMPLATES["flat"]) if random.random() < 0.35 else PLAIN_TEMPLATES
    )
    return str(templates[random.integers(len(templates))]).format(text)


def table(claims: list[Claim]) -> Tensor:
    """Claims as numbers: n 5."""
    return torch.tensor([[c.first, c.second, c.colour, c.place, c.count] for c in claims], dtype=torch.long)


def agreement(pictures: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor]:
    """Which sentences (m 5) are true of which pictures (n 5), and which may be: two masks n m."""
    p, s = pictures[:, None, :], sentences[None, :, :]
    first = (s[..., 0] == p[..., 0]) | (s[..., 0] == p[..., 1])
    second = (s[..., 1] == -1) | (s[..., 1] == p[..., 1]) | (s[..., 1] == p[..., 0])
    silent, equal, unknown = s[..., 2:] == -1, s[..., 2:] == p[..., 2:], p[..., 2:] == -1
    about = first & second
    true = about & (silent | equal).all(-1)
    return true, about & (silent | equal | unknown).all(-1)
