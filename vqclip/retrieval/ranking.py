"""Rank files of images by their similarity to prompts, and compute R-precision."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from vqclip.base.errors import ImageError, UsageError, cause
from vqclip.config.prompt import Prompt
from vqclip.guidance.ops import unit
from vqclip.media.image import load_image, read_metadata
from vqclip.pipeline.reranker import Reranker
from vqclip.retrieval.records import Retrieved, Scored, Skipped


def score(rerankers: Mapping[str, Reranker], path: Path, prompts: Sequence[Prompt]) -> Scored | Skipped:
    """Score a file as `generate --best` scores an image; with several perceptors by the mean of their scores."""
    try:
        image = load_image(path)
    except ImageError as error:
        return Skipped(path, str(error))
    by_model = {name: reranker.score(image, prompts) for name, reranker in rerankers.items()}
    return Scored(path, sum(by_model.values()) / len(by_model), by_model)


def read_prompts(file: Path) -> tuple[list[str], dict[str, str]]:
    """Read prompts, one a line, and the files' names that stand before a tab. # begins a comment.

    Raises UsageError where the file can't be read or has fewer than two prompts.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{file} can't be read: {cause(error)}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text in UTF-8") from None
    kept = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    pairs = [(name.strip(), prompt.strip()) for name, _, prompt in (line.rpartition("\t") for line in kept)]
    prompts = list(dict.fromkeys(prompt for _, prompt in pairs))
    if len(prompts) < 2:
        raise UsageError(
            f"{file} has {len(prompts)} different prompts; R-precision needs two or more, one a line"
        )
    return prompts, {name: prompt for name, prompt in pairs if name}


def own_prompt(path: Path, named: Mapping[str, str], prompts: Sequence[str]) -> str:
    """Give the prompt of a file: what the prompts' file says, or the config in the PNG. Raises ImageError."""
    if path.name in named:
        return named[path.name]
    own = " | ".join(map(str, (read_metadata(path).get("config") or {}).get("prompts", [])))
    if own not in prompts:
        raise ImageError(f"{path} was made of {own!r}, which is none of the {len(prompts)} prompts")
    return own


@torch.no_grad()
def retrieve(
    rerankers: Sequence[Reranker], path: Path, prompts: Sequence[str], named: Mapping[str, str]
) -> Retrieved | Skipped:
    """Rank all prompts by their mean similarity to a file, and give its own prompt's rank.

    Of equally similar prompts the own one counts as the last, so that no perceptor gains by making them all equal.
    """
    try:
        own = own_prompt(path, named, prompts)
        image = load_image(path)
    except ImageError as error:
        return Skipped(path, str(error))
    each = [unit(reranker.embed_image(image)) @ reranker.embed_texts(prompts).T for reranker in rerankers]
    likeness = torch.stack([one.cpu() for one in each]).mean(0)
    rank = int((likeness >= likeness[list(prompts).index(own)]).sum())
    return Retrieved(path, own, rank, prompts[int(likeness.argmax())])


def precision(found: Sequence[Retrieved], within: int) -> float:
    """Compute the share of images whose own prompt is among the first so many (R-precision, arXiv 1711.10485)."""
    return sum(one.rank <= within for one in found) / max(len(found), 1)
