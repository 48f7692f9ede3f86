"""Parse a prompt into the things that it names, their number, colour and place."""

import re
from dataclasses import dataclass
from itertools import pairwise

COLOURS = {
    "red": (0.86, 0.10, 0.12),
    "orange": (0.97, 0.53, 0.10),
    "yellow": (0.98, 0.86, 0.14),
    "green": (0.16, 0.65, 0.22),
    "blue": (0.13, 0.33, 0.83),
    "purple": (0.52, 0.18, 0.70),
    "pink": (0.97, 0.52, 0.72),
    "brown": (0.45, 0.27, 0.13),
    "black": (0.07, 0.07, 0.08),
    "white": (0.97, 0.97, 0.97),
    "grey": (0.52, 0.52, 0.53),
    "light blue": (0.58, 0.79, 0.96),
    "dark green": (0.05, 0.31, 0.13),
    "golden": (0.86, 0.66, 0.19),
    "turquoise": (0.14, 0.75, 0.72),
    "beige": (0.93, 0.87, 0.75),
}
_SPELT = {"gray": "grey", "gold": "golden"}
NUMBERS = {
    "two": 2, "three": 3, "few": 3, "four": 4, "five": 5, "several": 5, "six": 6, "many": 7,
    "seven": 7, "eight": 8, "nine": 9,
}  # fmt: skip

# "an oil painting of": the medium, before the subject.
_MANNER = re.compile(
    r"^.*?\b(painting|drawing|photo|photograph|picture|image|icon|illustration|cartoon|watercolou?r|sketch|"
    r"render|rendering|portrait|print|poster|mosaic|sculpture|statue|emoji|logo|art|engraving|close-?up|"
    r"view|window|style|scene) of\s+"
)
_STYLE = re.compile(
    r"\s*(,|\bin the style of\b|\bin [\w\s-]*style\b|\bas an? (drawing|painting|cartoon)\b).*$"
)
_LINK = re.compile(
    r"\s+(in front of|next to|on top of|in|on|at|by|under|over|above|below|behind|beside|near|with|and|against|among|"
    r"across|through|inside|between)\s+"
)
# "a girl with red hair": the hair is a part of the girl, not a second thing beside her.
_PART = re.compile(
    r"\bwith (?:[\w-]+ )*(?:arms?|beard|ears?|eyes?|face|feathers|hair|horns?|legs?|mouth|nose|smile|tail|teeth|"
    r"wings?)\b"
)
_GROUND = re.compile(r"\bon an? (?:plain )?([\w\s]+?) background\b")
_ARTICLE = re.compile(r"^(an?|the|some|one)\s+")


@dataclass(frozen=True)
class Phrase:
    """Hold a named thing ('three green apples'), and the preposition that links it to the phrase before it."""

    text: str
    link: str = ""

    @property
    def count(self) -> int:
        return next((NUMBERS[word] for word in self.text.split() if word in NUMBERS), 1)

    @property
    def colour(self) -> str | None:
        """Give the colour in the phrase, of two the last; a compound such as 'goldfish' counts."""
        words = [_SPELT.get(word, word) for word in self.text.partition(" with ")[0].split()]
        pairs = [" ".join(pair) for pair in pairwise(words)]
        said = [*pairs, *reversed(words), *map(_first_part, words[-1:])]
        return next((name for name in said if name in COLOURS), None)

    @property
    def noun(self) -> str:
        """Give the thing without its number: 'three green apples' -> 'green apples'."""
        if self.count == 1:
            return self.text
        words = _ARTICLE.sub("", self.text).split()
        return " ".join(word for word in words if word not in NUMBERS) or self.text

    @property
    def head(self) -> str:
        """Give the head noun: 'a smiling sun' -> 'a sun'."""
        *before, head = self.noun.partition(" with ")[0].split() or [""]
        if not before:
            return self.noun
        return head if head.endswith("s") else f"a {head}"


def _first_part(word: str) -> str | None:
    """Give the colour that a closed compound begins with: 'bluebird' -> 'blue'."""
    names = (name for name in (*COLOURS, *_SPELT) if word.startswith(name) and len(word) > len(name) + 2)
    return next((_SPELT.get(name, name) for name in names), None)


@dataclass(frozen=True)
class Outline:
    """Hold a prompt without its medium and style: the whole text, its phrases, and its plain background."""

    whole: str
    phrases: tuple[Phrase, ...]
    ground: str | None  # the colour of a plain background

    @property
    def location(self) -> str:
        """Give the text after the first thing, as in 'over a lake'; empty if there is none."""
        return " ".join(f"{phrase.link} {phrase.text}" for phrase in self.phrases[1:])

    @property
    def texts(self) -> set[str]:
        """List every text that needs an embedding."""
        named = {text for phrase in self.phrases for text in (phrase.noun, phrase.head)}
        return {self.whole, self.location, *named}


def outline(sentence: str) -> Outline:
    """Parse a prompt: 'an oil painting of a ship in a storm' -> 'a ship in a storm', of 'a ship' and, in, 'a storm'."""
    text = " ".join(re.sub(r"['’]s\b", "", sentence.lower()).split())
    text = _STYLE.sub("", text) or text
    text = _MANNER.sub("", text) or text
    ground = _GROUND.search(text)
    if ground:
        text = (text[: ground.start()] + text[ground.end() :]).strip() or text
    text = _PART.sub(lambda part: part[0].replace(" ", "_"), text)
    first, *rest = (piece.replace("_", " ") for piece in _LINK.split(text))
    linked = zip(rest[::2], rest[1::2], strict=True)
    phrases = (Phrase(first), *(Phrase(said, link) for link, said in linked if said))
    colour = _SPELT.get(ground[1], ground[1]) if ground else None
    return Outline(text.replace("_", " "), phrases, colour if colour in COLOURS else None)
