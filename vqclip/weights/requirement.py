"""A Requirement names weights, and says what they are needed for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vqclip.base.errors import WeightsError
from vqclip.base.paths import expand

USER_FILE = "file"  # the kind of weights that only the user has, such as a head's


@dataclass(frozen=True)
class Requirement:
    """The weights behind one name: their role, the name as the config writes it, and their family."""

    role: str
    name: str
    kind: str  # one of catalog.FAMILIES, or USER_FILE

    def at(self, places: Mapping[str, str]) -> "Requirement":
        """The same weights where this machine keeps them; `places` maps names to paths."""
        return replace(self, name=places.get(self.name, self.name))


def find_user_file(name: str) -> Path:
    """Find the file that is named; raises WeightsError if there is none."""
    path = expand(name)
    if not path.is_file():
        raise WeightsError(f"there is no file of weights {name}; name one that exists")
    return path
