"""vqclip as a library."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqclip.base import determinism
from vqclip.base import device as devices
from vqclip.config import resolve as configs
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import Listener, Painting, render
from vqclip.runs.provenance import provenance
from vqclip.runs.run import Run

__all__ = ["Painting", "generate"]


def generate(
    prompt: str,
    *,
    preset: str | None = None,
    device: str = "auto",
    runs: str | Path | None = None,
    listeners: Sequence[Listener] = (),
    **settings: Any,
) -> Painting:
    """Paint a prompt. `settings` are keys of a Config (seed=7, size="128x128", cutouts={"count": 8}).

    Nothing is written unless `runs` names a folder for the run folder. Raises VqclipError.
    """
    config = configs.resolve({"prompts": [prompt], **settings}, preset=preset)
    torch_device = devices.pick(device)
    determinism.enter(torch_device)
    pipeline = Pipeline(config, torch_device)
    run = Run.create(Path(runs), config, provenance(config, torch_device)) if runs is not None else None
    return render(config, pipeline, run, listeners)
