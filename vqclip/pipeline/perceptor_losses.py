"""Make the losses of a frame's prompts, one for each perceptor."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from vqclip.config.schema import Config, PerceptorConfig
from vqclip.config.timeline import Frame
from vqclip.guidance.interfaces import Scene
from vqclip.guidance.loss import crop_penalties
from vqclip.guidance.objective import PerceptorLoss
from vqclip.guidance.prompt_embeddings import PromptEmbeddings
from vqclip.guidance.regions import region_masks


def perceptor_losses(
    config: Config, embeddings: Sequence[PromptEmbeddings], frame: Frame, scene: Scene,
    sizes: Iterable[tuple[int, int]], base: Path, device: torch.device,
) -> list[PerceptorLoss]:  # fmt: skip
    """Make a frame's perceptor losses; `embeddings` are the prompts' by each of the Config's perceptors.

    `sizes` (h, w) are those of the images that are drawn. Paths of regions' masks begin at `base`.
    """
    prompts = [frame_prompt.prompt for frame_prompt in frame.prompts]
    regions = region_masks(prompts, base, sizes, device)
    uses = Counter(p.label for p in config.perceptors)
    return [
        PerceptorLoss(
            name=_label(settings, k, uses),
            perceptor=known.perceptor,
            targets=[known.target(frame_prompt, regions) for frame_prompt in frame.prompts],
            weight=settings.weight,
            crops=settings.crops or config.cutouts.count,
            penalties=crop_penalties(config.losses, known.perceptor, scene),
        )
        for k, (settings, known) in enumerate(zip(config.perceptors, embeddings, strict=True))
    ]


def _label(settings: PerceptorConfig, k: int, uses: Counter[str]) -> str:
    """Name a perceptor among the losses; number it if one model is used twice."""
    return settings.label if uses[settings.label] == 1 else f"{settings.label} #{k + 1}"
