"""List the weights that a Config needs, by role and name. This imports no torch and opens no file."""

from collections.abc import Iterable, Iterator

from vqclip.config.schema import Config
from vqclip.start.chosen import chosen_start
from vqclip.weights.requirement import Requirement

JUDGE = "judge"  # a role


def requirements(config: Config, judge: str | None = None) -> tuple[Requirement, ...]:
    """List all weights that painting a Config takes, and the judge's if one is to rank the pictures.

    Weights that have two roles are listed twice.
    """
    return tuple(_requirements(config, judge))


def _requirements(config: Config, judge: str | None) -> Iterator[Requirement]:
    yield from config.drawer.requirements()
    for k, perceptor in enumerate(config.perceptors, 1):
        yield Requirement(f"perceptor {k}", perceptor.model, "clip")
    yield from chosen_start(config).requirements()
    if judge is not None:
        yield Requirement(JUDGE, judge, "clip")


def distinct(needs: Iterable[Requirement]) -> list[Requirement]:
    """Each model once, in its first role."""
    first: dict[tuple[str, str], Requirement] = {}
    for need in needs:
        first.setdefault((need.kind, need.name), need)
    return list(first.values())
