"""Print what a command would do (`--plan`), without loading a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqclip.base import device as devices
from vqclip.base.errors import WeightsError
from vqclip.cli.display.console import result_json, result_topics
from vqclip.cli.outputs import OutputSpec
from vqclip.config.schema import Config
from vqclip.config.timeline import Film, Frame, latent_shape
from vqclip.guidance.memory import MemoryBudget, best_batch_size
from vqclip.guidance.memory_estimate import estimate
from vqclip.pipeline.film_video import frame_rate
from vqclip.pipeline.source_video import open_source
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import Status, status
from vqclip.runs.record import IMAGE
from vqclip.runs.run import VIDEO, folder_name
from vqclip.start.chosen import chosen_start


def explain(
    outputs: Sequence[OutputSpec],
    device: str,
    runs: Path,
    batch_size: int | None,
    judge: str | None,
    as_json: bool,
) -> None:
    """Print the plan, as lines or as one JSON object."""
    plan = make_plan(outputs, device, runs, batch_size, judge)
    return result_json(plan) if as_json else result_topics(plan)


def make_plan(
    outputs: Sequence[OutputSpec],
    device: str,
    runs: Path,
    batch_size: int | None = None,
    judge: str | None = None,
) -> dict[str, Any]:
    config, torch_device = outputs[0].config, devices.pick(device)
    video = open_source(config.source)
    film = Film(config, video.count if video else None)
    frame = film.frame(0)
    return {
        "device": f"{devices.describe(torch_device)}, {devices.arithmetic(config.precision, torch_device)}",
        "seeds": [spec.config.seed for spec in outputs],
        "size": config.size,
        "stages": _stages(config, frame),
        **_film(config, film),
        "crops": [f"{p.label}: {p.crops or config.cutouts.count} a step" for p in config.perceptors],
        "models": [_describe(status(need)) for need in requirements(config, judge)],
        **_start(config, torch_device),
        **_memory(config, frame, torch_device, len(outputs), batch_size),
        "outputs": [
            str(spec.output or runs / folder_name(spec.config) / (VIDEO if config.is_film else IMAGE))
            for spec in outputs
        ],
        **_videos(outputs, runs),
    }


def _videos(outputs: Sequence[OutputSpec], runs: Path) -> dict[str, list[str]]:
    """List the files of the requested videos."""
    videos = [
        spec.video.file or str(runs / folder_name(spec.config) / spec.video.name)
        for spec in outputs
        if spec.video
    ]
    return {"videos": videos} if videos else {}


def _stages(config: Config, frame: Frame) -> list[str]:
    try:
        factor = config.drawer.cell()
    except WeightsError:
        return [f"steps {stage.begin + 1} to {stage.end} at scale {stage.scale:g}" for stage in frame.stages]
    lines = []
    for stage in frame.stages:
        rows, columns = latent_shape(frame.width, frame.height, factor, stage.scale)
        size = f"decoded at {columns * factor}x{rows * factor}"
        if not frame.steps:
            return [f"no steps: latent {columns}x{rows}, {size}"]
        lines.append(f"steps {stage.begin + 1} to {stage.end}: latent {columns}x{rows}, {size}")
    return lines


def _film(config: Config, film: Film) -> dict[str, str]:
    if not config.is_film:
        return {}
    unseen = f", of which {film.preroll} close the loop" if film.preroll else ""
    pace = f"{film.output_frames / (rate := frame_rate(config)):.1f} s at {rate:g} a second"
    return {
        "frames": f"{film.rendered_frames}{unseen}, {film.steps} steps in all",
        "video": f"{film.output_frames} images, {pace}",
    }


def _describe(found: Status) -> str:
    """Describe a model in one line: its role, its name, and whether it is present."""
    name = f"{found.need.role}: {found.need.name}"
    if found.path is not None:
        return f"{name}, present, {found.size}"
    if found.fetchable:
        return f"{name}, missing, {found.size}; type: vqclip models pull {found.need.name}"
    return f"{name}, missing: {found.reason}"


def _start(config: Config, device: Any) -> dict[str, str]:
    """Say what the start computes, if that is much."""
    try:
        line = chosen_start(config).outlook(device, devices.dtype_for(config.precision, device))
    except WeightsError:
        return {}
    return {"start": line} if line else {}


def _memory(config: Config, frame: Frame, device: Any, count: int, batch_size: int | None) -> dict[str, str]:
    """Give the batch size, if there are several images, and the memory that it takes."""
    try:
        best = best_batch_size(config, config.drawer.channels(), device)
        images = min(count, batch_size or best)
        budget = MemoryBudget.of(config.width, config.height, device)
        dtype = devices.dtype_for(config.precision, device)
        need = estimate(config, frame, dtype, budget, images, device).total
    except WeightsError:
        return {"memory": "unknown without the models"}
    batch = {"together": f"{images} at once"} if count > 1 else {}
    return batch | {"memory": f"about {need / 2**30:.2f} GiB"}
