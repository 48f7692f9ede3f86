"""`--plan`: what a command would do, found out without loading a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqclip import device as devices
from vqclip.cli.console import result_json, result_topics
from vqclip.cli.wanted import Wanted
from vqclip.economy import Economy, best_together
from vqclip.errors import WeightsError
from vqclip.estimate import estimate
from vqclip.film import Film, Frame, cells
from vqclip.models.loading import architecture_of
from vqclip.projector import frame_rate
from vqclip.record import IMAGE
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import Status, status
from vqclip.run import VIDEO, folder_name
from vqclip.schema import Config
from vqclip.source import footage


def explain(
    wanted: Sequence[Wanted], device: str, runs: Path, together: int | None, judge: str | None, as_json: bool
) -> None:
    """Print the plan, as lines or as one JSON object."""
    plan = make_plan(wanted, device, runs, together, judge)
    return result_json(plan) if as_json else result_topics(plan)


def make_plan(
    wanted: Sequence[Wanted],
    device: str,
    runs: Path,
    together: int | None = None,
    judge: str | None = None,
) -> dict[str, Any]:
    config, place = wanted[0].config, devices.pick(device)
    video = footage(config.source)
    film = Film(config, video.count if video else None)
    frame = film.frame(0)
    return {
        "device": f"{devices.describe(place)}, {devices.arithmetic(config.precision, place)}",
        "seeds": [picture.config.seed for picture in wanted],
        "size": config.size,
        "stages": _stages(config, frame),
        **_film(config, film),
        "crops": [f"{p.model}: {p.crops or config.cutouts.count} a step" for p in config.perceptors],
        "models": [_describe(status(need)) for need in requirements(config, judge)],
        **_memory(config, frame, place, len(wanted), together),
        "outputs": [
            str(picture.output or runs / folder_name(picture.config) / (VIDEO if config.is_film else IMAGE))
            for picture in wanted
        ],
        **_videos(wanted, runs),
    }


def _videos(wanted: Sequence[Wanted], runs: Path) -> dict[str, list[str]]:
    """Where the videos will be, if any are asked for."""
    videos = [
        picture.video.file or str(runs / folder_name(picture.config) / picture.video.name)
        for picture in wanted
        if picture.video
    ]
    return {"videos": videos} if videos else {}


def _stages(config: Config, frame: Frame) -> list[str]:
    try:
        factor = architecture_of(config.vqgan).factor
    except WeightsError:
        return [f"steps {stage.begin + 1} to {stage.end} at scale {stage.scale:g}" for stage in frame.stages]
    lines = []
    for stage in frame.stages:
        rows, columns = cells(frame.width, frame.height, factor, stage.scale)
        painted = f"painted at {columns * factor}x{rows * factor}"
        lines.append(f"steps {stage.begin + 1} to {stage.end}: latent {columns}x{rows}, {painted}")
    return lines


def _film(config: Config, film: Film) -> dict[str, str]:
    if not config.is_film:
        return {}
    unseen = f", of which {film.lead} close the loop" if film.lead else ""
    pace = f"{film.shown / (rate := frame_rate(config)):.1f} s at {rate:g} a second"
    return {
        "frames": f"{film.painted}{unseen}, {film.steps} steps in all",
        "video": f"{film.shown} pictures, {pace}",
    }


def _describe(found: Status) -> str:
    """A model in one line: its role, its name, and whether it is here."""
    name = f"{found.need.role}: {found.need.name}"
    if found.path is not None:
        return f"{name}, present, {found.size}"
    if found.fetchable:
        return f"{name}, missing, {found.size}; type: vqclip models pull {found.need.name}"
    return f"{name}, missing: {found.reason}"


def _memory(config: Config, frame: Frame, place: Any, count: int, together: int | None) -> dict[str, str]:
    """How many are painted at once, where there are several, and what that takes."""
    try:
        best = best_together(config, architecture_of(config.vqgan).full_width, place)
        pictures = min(count, together or best)
        economy = Economy.of(config.width, config.height, place)
        dtype = devices.dtype_for(config.precision, place)
        need = estimate(config, frame, dtype, economy, pictures, place).total
    except WeightsError:
        return {"memory": "unknown without the models"}
    company = {"together": f"{pictures} at once"} if count > 1 else {}
    return company | {"memory": f"about {need / 2**30:.2f} GiB"}
