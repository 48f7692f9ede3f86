"""`--plan`: what a command would do, found out without loading a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqclip import device as devices
from vqclip.cli.console import result_json, result_topics
from vqclip.cli.wanted import Wanted
from vqclip.economy import Economy
from vqclip.errors import WeightsError
from vqclip.estimate import estimate
from vqclip.film import Film, Frame, cells
from vqclip.models.clip import find_clip
from vqclip.models.loading import architecture_of, find_vqgan
from vqclip.projector import frame_rate
from vqclip.run import IMAGE, VIDEO, folder_name
from vqclip.schema import Config
from vqclip.source import footage


def explain(wanted: Sequence[Wanted], device: str, runs: Path, as_json: bool) -> None:
    """Print the plan, as lines or as one JSON object."""
    plan = make_plan(wanted, device, runs)
    return result_json(plan) if as_json else result_topics(plan)


def make_plan(wanted: Sequence[Wanted], device: str, runs: Path) -> dict[str, Any]:
    config, place = wanted[0].config, devices.pick(device)
    video = footage(config.source)
    film = Film(config, video.count if video else None)
    frame = film.frame(0)
    dtype = devices.dtype_for(config.precision, place)
    return {
        "device": f"{devices.describe(place)}, {str(dtype).removeprefix('torch.')}",
        "seeds": [picture.config.seed for picture in wanted],
        "size": config.size,
        "stages": _stages(config, frame),
        **_film(config, film),
        "crops": [f"{p.model}: {p.crops or config.cutouts.count} a step" for p in config.perceptors],
        "models": _models(config),
        "memory": _memory(config, frame, dtype, Economy.of(config.width, config.height, place)),
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


def _models(config: Config) -> list[str]:
    lines = []
    for name, find in ((config.vqgan, find_vqgan), *((p.model, find_clip) for p in config.perceptors)):
        try:
            find(name)  # type: ignore[operator]
            lines.append(f"{name}: present")
        except WeightsError as error:
            lines.append(f"{name}: missing ({error})")
    return lines


def _memory(config: Config, frame: Frame, dtype: Any, economy: Economy) -> str:
    try:
        return f"about {estimate(config, frame, dtype, economy).total / 2**30:.2f} GiB"
    except WeightsError:
        return "unknown without the models"
