"""Hold the State of an optimisation, which snapshots save: tensors and plain numbers."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from vqclip.guidance.latent import Latent, Resize

MakeOptimizer = Callable[[Tensor], Optimizer]


@dataclass
class Plateau:
    """Track the lowest running mean of the loss, for how many steps it hasn't improved, and the rate's drops so far."""

    mean: float = 0.0
    best: float = float("inf")
    since: int = 0
    drops: int = 0

    def drop(self) -> None:
        """Count a drop of the learning rate, after which the loss has as many steps again to improve."""
        self.since, self.drops = 0, self.drops + 1

    def watch(self, loss: float, first: bool, improvement: float) -> None:
        """Add a step's loss; only an `improvement` of this share of the lowest mean counts as one."""
        self.mean = loss if first else 0.9 * self.mean + 0.1 * loss
        if self.mean < self.best - improvement * abs(self.best if self.best < float("inf") else 0):
            self.best, self.since = self.mean, 0
        else:
            self.since += 1


@dataclass
class State:
    """Hold an optimisation's latent, optimiser and seed after `step` steps of a frame."""

    latent: Latent
    optimizer: Optimizer
    make_optimizer: MakeOptimizer
    seed: int
    frame: int = 0
    step: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    unwatched: list[Tensor] = field(default_factory=list)  # losses that the plateau hasn't read yet

    @property
    def live(self) -> list[Tensor]:
        """List the tensors that a step changes in place."""
        moments = self.optimizer.state.get(self.latent.z, {}).values()
        return [self.latent.z, self.latent.total, *(x for x in moments if isinstance(x, Tensor))]

    def watch(self, improvement: float) -> None:
        """Pass the unread losses to the plateau; reading them waits for the device."""
        if self.unwatched:
            first = self.step - len(self.unwatched) == 0
            for i, loss in enumerate(torch.stack(self.unwatched).tolist()):
                self.plateau.watch(loss, first and i == 0, improvement)
            self.unwatched.clear()

    @classmethod
    def begin(cls, z: Tensor, make_optimizer: MakeOptimizer, seed: int) -> "State":
        """Start at a latent z, before the first step."""
        latent = Latent.begin(z)
        return cls(latent, make_optimizer(latent.z), make_optimizer, seed)

    def resize(self, rows: int, columns: int, resize: Resize) -> None:
        """Resample the latent and the optimiser's moments to another shape."""
        moments = self._moments()
        self.latent = self.latent.resized(rows, columns, resize)
        resized = {k: resize(v, rows, columns) if v.ndim == 4 else v for k, v in moments.items()}
        self._adopt(resized)

    @torch.no_grad()
    def restart(self) -> None:
        """Reset the optimiser's moments to those of a new one, in place: captured graphs use these tensors."""
        for name, moment in self.optimizer.state.get(self.latent.z, {}).items():
            if isinstance(moment, Tensor):
                moment.fill_(1 if name == "mu_product" else 0)  # NAdam multiplies this one up from 1

    def carried(self) -> "State":
        """Make the next frame's first State, which goes on from this latent and these moments."""
        return self._next(self.latent.carried(), self._moments())

    def moved(self, z: Tensor, along: Callable[[Tensor], Tensor]) -> "State":
        """Make the next frame's first State from a moved latent; `along` moves the moments in the same way."""
        moments = {
            name: along(value) if value.ndim == 4 else value for name, value in self._moments().items()
        }
        return self._next(Latent.begin(z), moments)

    def _next(self, latent: Latent, moments: dict[str, Tensor]) -> "State":
        state = State(latent, self.optimizer, self.make_optimizer, self.seed, self.frame + 1)
        state._adopt(moments)
        return state

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Give the tensors and strings that are saved in a file, and that `from_tensors` reads."""
        latent = {f"latent.{name}": getattr(self.latent, name).detach() for name in ("z", "start", "total")}
        moments = {f"optimizer.{name}": value for name, value in self._moments().items()}
        numbers: dict[str, Any] = {
            "seed": self.seed,
            "frame": self.frame,
            "step": self.step,
            "weight": self.latent.weight,
            "plateau": dataclasses.asdict(self.plateau),
        }
        if self.unwatched:
            numbers["unwatched"] = torch.stack(self.unwatched).tolist()
        return latent | moments, {"state": json.dumps(numbers)}

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, Tensor], strings: dict[str, str], make: MakeOptimizer
    ) -> "State":
        numbers = json.loads(strings["state"])
        z, start, past = (tensors[f"latent.{name}"] for name in ("z", "start", "total"))
        latent = Latent(z.requires_grad_(), start, past, numbers["weight"])
        plateau = Plateau(**numbers["plateau"])
        unwatched = [torch.tensor(loss, device=z.device) for loss in numbers.get("unwatched", [])]
        place = numbers["seed"], numbers["frame"], numbers["step"]
        state = cls(latent, make(latent.z), make, *place, plateau, unwatched)
        state._adopt(
            {k.removeprefix("optimizer."): v for k, v in tensors.items() if k.startswith("optimizer.")}
        )
        return state

    def _moments(self) -> dict[str, Tensor]:
        per_parameter = self.optimizer.state_dict()["state"].get(0, {})
        return {name: torch.as_tensor(value) for name, value in per_parameter.items() if value is not None}

    def _adopt(self, moments: dict[str, Tensor]) -> None:
        """Make a new optimiser for the latent, with the given moments."""
        self.optimizer = self.make_optimizer(self.latent.z)
        saved = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**saved, "state": {0: moments} if moments else {}})
        if moments and not saved["param_groups"][0].get("capturable"):
            # torch moves NAdam's product to the latent's device, and would then wait for it at every step.
            scalars = {name: value for name, value in moments.items() if value.ndim == 0}
            self.optimizer.state[self.latent.z].update(scalars)
