"""List the weights that a Config needs, by role and name. This imports no torch and opens no file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from vqclip.config.schema import Config
from vqclip.weights.catalog import SKETCH_READER

VQGAN, SKETCHBOOK, READER, JUDGE = "vqgan", "sketchbook", "sketch reader", "judge"  # roles


@dataclass(frozen=True)
class Requirement:
    """The weights behind one name: their role, the name as the config writes it, and their family."""

    role: str
    name: str
    kind: str  # one of catalog.FAMILIES

    def at(self, places: Mapping[str, str]) -> "Requirement":
        """The same weights where this machine keeps them; `places` maps names to paths."""
        return replace(self, name=places.get(self.name, self.name))


def requirements(config: Config, judge: str | None = None) -> tuple[Requirement, ...]:
    """List all weights that painting a Config takes, and the judge's if one is to rank the pictures.

    Weights that have two roles are listed twice.
    """
    return tuple(_requirements(config, judge))


def _requirements(config: Config, judge: str | None) -> Iterator[Requirement]:
    yield Requirement(VQGAN, config.vqgan, "vqgan")
    for k, perceptor in enumerate(config.perceptors, 1):
        yield Requirement(f"perceptor {k}", perceptor.model, "clip")
    if config.start == "sketch" and not config.init and config.source.video is None:
        yield Requirement(SKETCHBOOK, config.sketchbook, "sketchbook")
        yield Requirement(READER, SKETCH_READER, "clip")
    if judge is not None:
        yield Requirement(JUDGE, judge, "clip")


def distinct(needs: Iterable[Requirement]) -> list[Requirement]:
    """Each model once, in its first role."""
    first: dict[tuple[str, str], Requirement] = {}
    for need in needs:
        first.setdefault((need.kind, need.name), need)
    return list(first.values())
