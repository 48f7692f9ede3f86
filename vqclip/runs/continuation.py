"""Go on with a finished run: a new run of more steps begins with the old one's last snapshot."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from vqclip.base.errors import RunError, UsageError
from vqclip.config.schedule import Moment, Schedule
from vqclip.config.schema import Config, OptimizerConfig, StageConfig
from vqclip.config.timeline import stages
from vqclip.runs import snapshot
from vqclip.runs.folder_layout import SNAPSHOT, STEPS
from vqclip.runs.record import read_record
from vqclip.runs.run import Run, origin, read_config, read_provenance

_FILMS = ("film", "story", "motion", "source")  # sections whose schedules run over frames


def continued(folder: Path, steps: int) -> Run:
    """Make a run of `steps` steps beside a finished one, with its steps done; raises RunError or UsageError.

    The finished run stays as it is. An image of the new run's Config has the same pixels if it is made from the
    beginning, on the CPU.
    """
    config = read_config(folder)
    _check(folder, config, steps)
    longer = lengthened(config, steps)
    metadata = {key: value for key, value in read_provenance(folder).items() if key != "folder"}
    run = Run.create(Path(os.path.normpath(folder / "..")), longer, metadata, origin(folder).absolute())
    with run.held():
        if (folder / STEPS).is_file():
            shutil.copyfile(folder / STEPS, run.folder / STEPS)
        snapshot.hand_over(folder, run.folder, config.digest, longer.digest)
    return run


def _check(folder: Path, config: Config, steps: int) -> None:
    record = read_record(folder)
    if config.is_film:
        again = f"render the film again: vqclip reproduce {folder}/image.png"
        raise UsageError(
            f"{folder} is a film, whose frames each begin with the last one; more steps change all of them; {again}"
        )
    if record is None:
        raise UsageError(f"{folder} isn't finished; go on without --steps: vqclip resume {folder}")
    if steps <= config.steps:
        raise UsageError(f"{folder} has {config.steps} steps; --steps {steps} must be more")
    if record.get("steps", config.steps) < config.steps:
        raise UsageError(
            f"{folder} ended at step {record['steps']} on a plateau, and more steps change nothing; "
            "generate it again with --set plateau.patience=0"
        )
    if not (folder / SNAPSHOT).is_file():
        raise RunError(
            f"{folder} kept no snapshot to go on from (batches and earlier versions keep none); "
            f"generate it again: vqclip generate -c {folder}/config.yaml --steps {steps}"
        )


def lengthened(config: Config, steps: int) -> Config:
    """Give the Config of more steps whose first ones are the same: its schedules and stages stay where they were."""
    ends = [stage.end for stage in stages(config)]
    pinned: Any = _pinned(config, config.steps)
    if len(config.latent.stages) > 1:
        shares = [end - begin for begin, end in zip([0, *ends], [*ends[:-1], steps], strict=False)]
        kept = [StageConfig(scale=stage.scale, share=share / steps)
                for stage, share in zip(stages(config), shares, strict=True)]  # fmt: skip
        pinned = replace(pinned, latent=replace(pinned.latent, stages=kept))
    return replace(pinned, steps=steps)


def changed_keys(config: Config, longer: Config) -> list[str]:
    """List the keys, besides the steps, in which a lengthened Config differs: those that hang on the steps."""
    return [name for name, value in _schedules(config) if dict(_schedules(longer))[name] != value] + (
        (["latent.stages"] if config.latent != longer.latent else [])
        + (["optimizer.drops"] if config.optimizer.drops != longer.optimizer.drops else [])
    )


def _pinned(node: Any, steps: int) -> Any:
    """Write the schedules over a still's steps with keyframes at steps, where they had shares of all steps."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if field.name in _FILMS:
            continue
        if field.metadata.get("schedule") and value is not None:
            changes[field.name] = pin(value, steps)
        elif isinstance(value, dict):
            changes[field.name] = {name: _pinned(entry, steps) for name, entry in value.items()}
        elif dataclasses.is_dataclass(value):
            changes[field.name] = _pinned(value, steps)
    if isinstance(node, OptimizerConfig):
        moments = [Moment.parse(text, "optimizer.drops") for text in node.drops]
        changes["drops"] = [f"{_plain(moment.step(steps))}i" for moment in moments]
    return replace(node, **changes)


def pin(text: str, steps: int) -> str:
    """Write a schedule over so many steps so that it stays the same when steps are added after them.

    >>> pin("0.4 -> 0.1", 100), pin("0.3", 100)
    ('0:0.4, 99:0.1', '0.3')
    """
    keyframes = Schedule.parse(text).keyframes
    if len({keyframe.value for keyframe in keyframes}) == 1 or not any(k.is_share for k in keyframes):
        return text
    return ", ".join(f"{_plain(k.step(steps))}:{_plain(k.value)}" for k in keyframes)


def _plain(number: float) -> str:
    """Write a number exactly, without an exponent."""
    return f"{Decimal(repr(number)):f}".removesuffix(".0")


def _schedules(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(node):
        name, value = f"{prefix}{field.name}", getattr(node, field.name)
        if field.metadata.get("schedule") and value is not None:
            yield name, value
        elif isinstance(value, dict):
            for key, entry in value.items():
                yield from _schedules(entry, f"{name}.{key}.")
        elif dataclasses.is_dataclass(value):
            yield from _schedules(value, f"{name}.")
