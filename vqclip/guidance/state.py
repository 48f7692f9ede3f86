"""The State: what must survive a kill, as tensors and plain numbers."""

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
    """Watches the loss: how low its running mean came, and how many steps ago."""

    mean: float = 0.0
    best: float = float("inf")
    since: int = 0

    def watch(self, loss: float, first: bool, improvement: float) -> None:
        self.mean = loss if first else 0.9 * self.mean + 0.1 * loss
        if self.mean < self.best - improvement * abs(self.best if self.best < float("inf") else 0):
            self.best, self.since = self.mean, 0
        else:
            self.since += 1


@dataclass
class State:
    """Where a painting stands: after `step` steps of a frame, with this latent and these moments, and its seed."""

    latent: Latent
    optimizer: Optimizer
    make_optimizer: MakeOptimizer
    seed: int
    frame: int = 0
    step: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    unwatched: list[Tensor] = field(default_factory=list)  # losses of the last steps, not yet read

    @property
    def live(self) -> list[Tensor]:
        """The tensors that a step changes in place."""
        moments = self.optimizer.state.get(self.latent.z, {}).values()
        return [self.latent.z, self.latent.total, *(x for x in moments if isinstance(x, Tensor))]

    def watch(self, improvement: float) -> None:
        """Let the plateau see the losses that it hasn't; a device is waited for."""
        if self.unwatched:
            first = self.step - len(self.unwatched) == 0
            for i, loss in enumerate(torch.stack(self.unwatched).tolist()):
                self.plateau.watch(loss, first and i == 0, improvement)
            self.unwatched.clear()

    @classmethod
    def begin(cls, z: Tensor, make_optimizer: MakeOptimizer, seed: int) -> "State":
        latent = Latent.begin(z)
        return cls(latent, make_optimizer(latent.z), make_optimizer, seed)

    def resize(self, rows: int, columns: int, resize: Resize) -> None:
        """Go on with another shape; the optimiser's moments are resampled, not dropped."""
        moments = self._moments()
        self.latent = self.latent.resized(rows, columns, resize)
        resized = {k: resize(v, rows, columns) if v.ndim == 4 else v for k, v in moments.items()}
        self._adopt(resized)

    @torch.no_grad()
    def restart(self) -> None:
        """Set the optimiser's moments back to those of a fresh one, in place: captured steps hold on to them."""
        for name, moment in self.optimizer.state.get(self.latent.z, {}).items():
            if isinstance(moment, Tensor):
                moment.fill_(1 if name == "mu_product" else 0)  # NAdam's product of what is no sum

    def carried(self) -> "State":
        """The State before the next frame's first step, painted on from this one's latent."""
        return self._next(self.latent.carried(), self._moments())

    def moved(self, z: Tensor, along: Callable[[Tensor], Tensor]) -> "State":
        """The State before the next frame's first step, from a moved latent; the moments move along."""
        moments = {
            name: along(value) if value.ndim == 4 else value for name, value in self._moments().items()
        }
        return self._next(Latent.begin(z), moments)

    def _next(self, latent: Latent, moments: dict[str, Tensor]) -> "State":
        state = State(latent, self.optimizer, self.make_optimizer, self.seed, self.frame + 1)
        state._adopt(moments)
        return state

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and strings that `from_tensors` reads, for a file."""
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
        """A fresh optimiser of the present latent that goes on with given moments."""
        self.optimizer = self.make_optimizer(self.latent.z)
        saved = self.optimizer.state_dict()
        self.optimizer.load_state_dict({**saved, "state": {0: moments} if moments else {}})
        if moments and not saved["param_groups"][0].get("capturable"):
            # torch moves NAdam's product to the latent's device, and would then wait for it at every step.
            scalars = {name: value for name, value in moments.items() if value.ndim == 0}
            self.optimizer.state[self.latent.z].update(scalars)
