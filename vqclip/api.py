"""vqclip as a library."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqclip import config as configs
from vqclip import determinism
from vqclip import device as devices
from vqclip.pipeline import Pipeline
from vqclip.provenance import provenance
from vqclip.render import Listener, Painting, render
from vqclip.run import Run

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
    place = devices.pick(device)
    determinism.enter(place)
    pipeline = Pipeline(config, place)
    run = Run.create(Path(runs), config, provenance(config, place)) if runs is not None else None
    return render(config, pipeline, run, listeners)
