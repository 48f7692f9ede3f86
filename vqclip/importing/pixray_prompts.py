"""Convert pixray's prompts: texts, masks, labels, stored embeddings, images and noise."""

import re
from typing import Any

from vqclip.config.prompt import Kind
from vqclip.importing.table import Convert, Given, line, number, peeled, words

VECTOR_WEIGHT = 0.1  # of a stored embedding, beside a prompt's


def prompts(value: Any, given: Given) -> dict[str, Any]:
    return {"prompts": [line(Kind.TEXT, *peeled(text)) for text in words(value)]}


def spot(inside: bool) -> Convert:
    """Convert prompts that hold inside a mask, or outside it; pixray's own mask is a spot in the middle."""

    def convert(value: Any, given: Given) -> dict[str, Any]:
        file = given.get("spot_file")
        region = ("" if inside else "not ") + f"[{file}]" if file else "centre" if inside else "edges"
        return {"prompts": [line(Kind.TEXT, *peeled(text), region=region) for text in words(value)]}

    return convert


def labels(value: Any, given: Given) -> dict[str, Any]:
    parted = [peeled(text) for text in words(value)]
    return {
        "prompts": [f"[label:{name}]" + ":".join(["", *map(_plain, numbers)]) for name, numbers in parted]
    }


def vectors(value: Any, given: Given) -> dict[str, Any]:
    """Convert stored embeddings; pixray weighs them a tenth."""
    found = []
    for text in words(value):
        name, numbers = peeled(text)
        if name.endswith(".json"):
            found.append(f"[{name}]:{_plain(VECTOR_WEIGHT * (numbers or [1.0])[0])}")
        elif name != "textoff":
            given.note(f"{name} is a file of pixray's; write its path, as in {name}.json")
    return {"prompts": found}


def image_prompts(value: Any, given: Given) -> dict[str, Any]:
    return _images(value, given, given.number("image_prompt_weight", 1))


def image_labels(value: Any, given: Given) -> dict[str, Any]:
    return _images(value, given, given.number("image_label_weight", 1))


def _images(value: Any, given: Given, weight: float) -> dict[str, Any]:
    files = words(value)
    if patterns := [file for file in files if re.search(r"[*?{]", file)]:
        given.note(f"{', '.join(patterns)} is a pattern; name each file, as in [owl.png]")
    plain = [file for file in files if file not in patterns]
    return {"prompts": [line(Kind.IMAGE, file, [weight]) for file in plain]}


def noise(value: Any, given: Given) -> dict[str, Any]:
    seeds, weights = words(value, " "), words(given.get("noise_prompt_weights", []), " ")
    weights += ["1"] * (len(seeds) - len(weights))
    pairs = zip(seeds, weights, strict=False)
    return {
        "prompts": [
            line(Kind.NOISE, seed, [number(weight, "noise_prompt_weights")]) for seed, weight in pairs
        ]
    }


def _plain(value: float) -> str:
    return f"{value:g}"
