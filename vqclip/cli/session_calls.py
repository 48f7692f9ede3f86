"""Call a Session for the commands, and print its events; this module loads torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vqclip.base import device as devices
from vqclip.cli.deliver import deliver
from vqclip.cli.display.console import say
from vqclip.cli.outputs import OutputSpec, plan_outputs
from vqclip.cli.painting_options import say_prompts
from vqclip.cli.printer import printing
from vqclip.cli.provide import provide
from vqclip.config.schema import Config
from vqclip.jobs.reproduce import carried_config, saved_metadata
from vqclip.pipeline.events import (
    Compared,
    Ranked,
)
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import status
from vqclip.runs.delivery import Delivery
from vqclip.runs.run import check_parent
from vqclip.session import Session
from vqclip.weights.requirement import Requirement


@dataclass(frozen=True)
class BestOf:
    """Hold how many images are kept, and which CLIP ranks them."""

    keep: int
    judge: str


def paint(
    outputs: Sequence[OutputSpec], device: str, runs: Path, best_of: BestOf | None = None,
    *, batch_size: int | None, as_json: bool, quiet: bool, verbose: bool = False, pull: bool,
) -> None:  # fmt: skip
    """Make all images in batches, and deliver them; with `best_of`, deliver only the best."""
    config, torch_device = outputs[0].config, devices.pick(device)
    session = Session(device, pull=pull, keeps_models=False, owns_process=True)
    check_parent(runs)
    needs = requirements(config, best_of.judge if best_of else None)
    announce(config, torch_device, needs, pull=pull, quiet=quiet)
    if verbose:
        say_details(config, needs)
    by_seed = {spec.config.seed: spec for spec in outputs}
    # With `best_of`, the ranking at the end decides which videos are copied to their names.
    videos = {seed: replace(spec.video, file=None) if best_of else spec.video
              for seed, spec in by_seed.items() if spec.video}  # fmt: skip
    configs = [spec.config for spec in outputs]
    goals = (
        {}
        if best_of
        else {seed: Delivery(spec.output, spec.force) for seed, spec in by_seed.items() if spec.output}
    )
    with printing(quiet, outputs=goals, verbose=verbose) as printer:
        if best_of is None:
            events = session.generate(
                configs, batch_size=batch_size, runs=runs, video=videos or None, stop=printer.stop
            )
            for made in printer.results(events):
                spec = by_seed[made.seed]
                deliver(made, spec.output, as_json, force=spec.force)
            return
        events = session.best_of(
            configs, keep=best_of.keep, judge=best_of.judge,
            batch_size=batch_size, runs=runs, video=videos or None, stop=printer.stop,
        )  # fmt: skip
        for event in printer.show(events):
            if isinstance(event, Ranked):
                _deliver_ranked(event, by_seed[event.result.seed], best_of.judge, as_json, quiet)


def _deliver_ranked(event: Ranked, spec: OutputSpec, judge: str, as_json: bool, quiet: bool) -> None:
    """Print an image's score, and deliver it if it is kept; the others stay in their run folders."""
    if not quiet:
        suffix = "" if event.is_kept else ", not kept"
        say("score", f"{event.score:.4f} by {judge}: seed {spec.config.seed}{suffix}")
    if event.is_kept:
        video = spec.video.file if spec.video else None
        deliver(event.result, spec.output, as_json, video, force=spec.force, score=round(event.score, 4))


def announce(
    config: Config, device: torch.device, needs: Iterable[Requirement], *, pull: bool, quiet: bool
) -> None:
    """Say prompts, models and device before the work begins, and fetch models; raises WeightsError."""
    if not quiet:
        say_prompts(config)
    provide(needs, pull=pull, quiet=quiet, device=device)
    if not quiet:
        say("device", f"{devices.describe(device)}, {devices.arithmetic(config.precision, device)}")


def say_details(config: Config, needs: Iterable[Requirement]) -> None:
    """Say what -v adds: the config's digest, size and steps, and the file of each model."""
    say("config", f"{config.digest}: {config.size}, {config.steps} steps, start {config.start.name}")
    for need in needs:
        found = status(need)
        say("file", f"{need.role}: {need.name}, {found.size}, {found.path}")


def reproduce(
    image: Path, output: str | None, device: str, runs: Path,
    *, force: bool, as_json: bool, quiet: bool, pull: bool,
) -> None:  # fmt: skip
    """Make a saved image again from its metadata, and compare the two."""
    metadata = saved_metadata(image)
    session, config = (
        Session(device, pull=pull, keeps_models=False, owns_process=True),
        carried_config(image, metadata),
    )
    check_parent(runs)
    (spec,) = plan_outputs(config, output, force=force)
    announce(config, devices.pick(device), requirements(config), pull=pull, quiet=quiet)
    goals = {config.seed: Delivery(spec.output, force)} if spec.output else {}
    with printing(quiet, outputs=goals) as printer:
        for event in printer.show(session.reproduce(image, runs=runs, stop=printer.stop)):
            if isinstance(event, Compared):
                if not quiet:
                    differ = f"{event.share:.1%} differ, by {255 * event.most:.0f} of 255 at most"
                    say("pixels", "the same" if event.is_same else differ)
                    if not event.is_same and image.suffix.lower() != ".png":
                        say("format", f"{image.suffix} rounds pixels when it is saved; .png keeps them")
                deliver(event.result, spec.output, as_json, force=force, same=event.is_same)
