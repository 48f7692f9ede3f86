"""List the weights that a Config needs, by role and name. This imports no torch and opens no file."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from vqclip.config.schema import Config, in_use
from vqclip.guidance.perceptors.chosen import perceptor_named
from vqclip.start.chosen import chosen_start
from vqclip.weights.requirement import Requirement

JUDGE = "judge"  # a role


def requirements(config: Config, judge: str | None = None) -> tuple[Requirement, ...]:
    """List all weights that a Config needs, and the judge's if one is to rank the images.

    Weights that have two roles are listed twice.
    """
    return tuple(_requirements(config, judge))


def _requirements(config: Config, judge: str | None) -> Iterator[Requirement]:
    yield from config.drawer.requirements()
    for k, perceptor in enumerate(config.perceptors, 1):
        yield from _in_role(f"perceptor {k}", perceptor)
    yield from chosen_start(config).requirements()
    if config.texts.image_prior:
        yield Requirement("image prior", config.texts.image_prior, "image-prior")
    terms: Any = in_use(config.losses)
    for term in terms.values():
        yield from term.requirements()
    if config.upscale.factor > 1 and config.upscale.model:
        yield Requirement("upscaler", config.upscale.model, "upscaler")
    if judge is not None:
        yield from _in_role(JUDGE, perceptor_named(config, judge))


def _in_role(role: str, perceptor: Any) -> Iterator[Requirement]:
    return (replace(need, role=role) for need in perceptor.requirements())


def distinct(needs: Iterable[Requirement]) -> list[Requirement]:
    """Each model once, in its first role."""
    first: dict[tuple[str, str], Requirement] = {}
    for need in needs:
        first.setdefault((need.kind, need.name), need)
    return list(first.values())
