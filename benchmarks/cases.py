"""What is measured. Without torch, as the process that starts the others must stay small (see rounds.py)."""

from dataclasses import dataclass, replace
from typing import Any

PROMPT = "a red apple"
REAL, MINI = "f16", "mini-vqgan"  # the architecture of taming's ImageNet f16 with random weights, and ours


@dataclass(frozen=True)
class Case:
    """One set of models, size and number of crops, which vqclip and the plain loop both paint with."""

    name: str
    vqgan: str
    clips: tuple[str, ...]  # "mini-clip-2", or an architecture of open_clip's that gets random weights
    side: int
    crops: int = 32
    warm: int = 2  # steps that aren't timed: libraries prepare themselves
    steps: int = 4  # steps that are
    memory_only: bool = False
    peak_seconds: float = 2.0  # for how long products of matrices are timed, of each dtype

    @property
    def total(self) -> int:
        """All steps; where time counts, one more follows whose operations are counted."""
        return self.warm + self.steps + (not self.memory_only)

    def settings(self) -> dict[str, Any]:
        """vqclip's defaults at this size and with these crops, on the whole latent from the first step on."""
        return {
            "prompts": [PROMPT],
            "seed": 0,
            "size": f"{self.side}x{self.side}",
            "steps": self.total,
            "vqgan": self.vqgan,
            "perceptors": [{"model": clip} for clip in self.clips],
            "start": "codes",
            "cutouts": {"count": self.crops},
            "latent": {"stages": [{"scale": 1.0, "share": 1.0}]},
        }


SMOKE = Case("smoke", MINI, ("mini-clip-2",), side=32, crops=2, warm=1, steps=1, peak_seconds=0.2)
CASES = [
    Case("mini-256", MINI, ("mini-clip-2",), 256),
    Case("mini-512", MINI, ("mini-clip-2",), 512),
    Case("real-256", REAL, ("ViT-B-32",), 256, warm=1, steps=2),
    Case("real-512", REAL, ("ViT-B-32",), 512, warm=1, steps=1),
    Case("real-1024", REAL, ("ViT-B-32",), 1024, warm=0, steps=1, memory_only=True),
    Case("two-256", REAL, ("ViT-B-32", "RN50"), 256, warm=1, steps=2),
]


def sizes_and_crops(smoke: bool) -> tuple[list[Case], list[Case]]:
    """The real architectures' memory, or a small one's: along the picture's side, and along the number of crops."""
    case = replace(SMOKE if smoke else CASES[2], warm=0, steps=1, memory_only=True)
    lengths = (16, 32) if smoke else (128, 256, 384, 512, 768, 1024)
    counts = (1, 2) if smoke else (8, 16, 32, 64, 128)
    sides = [replace(case, name=f"side {side}", side=side) for side in lengths]
    crops = [replace(case, name=f"crops {count}", crops=count) for count in counts]
    return sides, crops
