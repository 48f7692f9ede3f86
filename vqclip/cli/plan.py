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
from vqclip.pipeline.inputs import read_inputs
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import Status, status
from vqclip.runs.folder_layout import IMAGE, VIDEO
from vqclip.runs.job import slug
from vqclip.runs.run import check_parent
from vqclip.start.chosen import chosen_start

DRAWN = "drawn when the work begins"


def explain(
    outputs: Sequence[OutputSpec],
    device: str,
    runs: Path,
    batch_size: int | None,
    judge: str | None,
    as_json: bool,
    *,
    draws_seed: bool = False,
) -> None:
    """Print the plan, as lines or as one JSON object."""
    plan = make_plan(outputs, device, runs, batch_size, judge, draws_seed=draws_seed)
    return result_json(plan) if as_json else result_topics(plan)


def make_plan(
    outputs: Sequence[OutputSpec],
    device: str,
    runs: Path,
    batch_size: int | None = None,
    judge: str | None = None,
    *,
    draws_seed: bool = False,
) -> dict[str, Any]:
    """Describe the work as plain data; raises what the work itself would raise before its first step.

    With `draws_seed`, the Configs' seeds are left out: the work draws others.
    """
    config, torch_device = outputs[0].config, devices.pick(device)
    check_parent(runs)
    source = read_inputs(config).source
    film = Film(config, source.reader.count if source else None)
    frame = film.frame(0)
    return {
        "device": f"{devices.describe(torch_device)}, {devices.arithmetic(config.precision, torch_device)}",
        "seeds": DRAWN if draws_seed else [spec.config.seed for spec in outputs],
        "size": config.size,
        "stages": _stages(config, frame),
        **_film(config, film),
        "crops": [f"{p.label}: {p.crops or config.cutouts.count} a step" for p in config.perceptors],
        "models": [_describe(status(need)) for need in requirements(config, judge)],
        **_start(config, torch_device),
        **_memory(config, frame, torch_device, len(outputs), batch_size),
        "outputs": [
            _unseeded(spec.output, spec)
            if draws_seed and spec.output
            else str(spec.output or _folder(spec, runs, draws_seed) / (VIDEO if config.is_film else IMAGE))
            for spec in outputs
        ],
        **_videos(outputs, runs, draws_seed),
    }


def _folder(spec: OutputSpec, runs: Path, draws_seed: bool) -> Path:
    """Name a run's folder as far as it is known: its time isn't, nor is its digest before the seed is drawn."""
    digest = "<digest>" if draws_seed else spec.config.digest
    return runs / f"<time>-{slug(spec.config)}-{digest}"


def _unseeded(path: Path, spec: OutputSpec) -> str:
    """Spell a path without a seed that isn't drawn yet."""
    return str(path).replace(str(spec.config.seed), "<seed>")


def _videos(outputs: Sequence[OutputSpec], runs: Path, draws_seed: bool) -> dict[str, list[str]]:
    """List the files of the requested videos."""
    videos = [
        (_unseeded(Path(spec.video.file), spec) if draws_seed else spec.video.file)
        if spec.video.file
        else str(_folder(spec, runs, draws_seed) / spec.video.name)
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
    batch = {"batch size": f"{images} at once"} if count > 1 else {}
    return batch | {"memory": f"about {need / 2**30:.2f} GiB"}
