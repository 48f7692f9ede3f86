"""A Requirement names weights, and says what they are needed for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Requirement:
    """The weights behind one name: their role, the name as the config writes it, and their family."""

    role: str
    name: str
    kind: str  # one of catalog.FAMILIES

    def at(self, places: Mapping[str, str]) -> "Requirement":
        """The same weights where this machine keeps them; `places` maps names to paths."""
        return replace(self, name=places.get(self.name, self.name))
