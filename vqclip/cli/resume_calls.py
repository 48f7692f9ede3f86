"""Call a Session to go on with a run, and deliver its result; this module loads torch."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from vqclip.base import device as devices
from vqclip.base.errors import UsageError
from vqclip.cli.deliver import deliver
from vqclip.cli.outputs import check_result
from vqclip.cli.printer import printing
from vqclip.cli.session_calls import announce
from vqclip.config.schema import Config
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import locations_from
from vqclip.runs.continuation import changed_keys, continued
from vqclip.runs.delivery import Delivery, remember, remembered
from vqclip.runs.record import read_record
from vqclip.runs.run import origin, read_config
from vqclip.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Further:
    """Hold what `resume` is given besides the run: a number of steps, and where the result goes."""

    steps: int | None = None
    output: Path | None = None
    force: bool = False


def resume(folder: Path, further: Further, device: str, *, as_json: bool, quiet: bool, pull: bool) -> None:
    """Go on in a run folder, or with more steps in a new one, and deliver the result; a finished run at once."""
    session = Session(device, pull=pull, keeps_models=False, owns_process=True)
    config = read_config(folder)
    delivery = _delivery(folder, further, config)
    needs = requirements(config)
    locations = locations_from(origin(folder), needs)
    announce(config, devices.pick(device), [need.at(locations) for need in needs], pull=pull, quiet=quiet)
    if further.steps is not None:
        folder = _continue(folder, further.steps, config)
    if delivery:
        remember(folder, delivery.file, delivery.force)
    with printing(quiet, goes_on=True) as printer:
        for made in printer.results(session.resume(folder, stop=printer.stop)):
            deliver(
                made,
                delivery.file if delivery else None,
                as_json,
                force=bool(delivery and delivery.force),
            )


def _delivery(folder: Path, further: Further, config: Config) -> Delivery | None:
    """Find where the result goes; raises UsageError, before any work, if a file lies there that may not be replaced."""
    if further.output:
        delivery: Delivery | None = Delivery(further.output, further.force)
    else:
        delivery = None if further.steps else remembered(folder)  # the image of fewer steps went there
    if delivery is None:
        return None
    if delivery.file.exists() and not (delivery.force or further.force):
        if read_record(folder) and not further.output:
            return None  # it was delivered
        raise UsageError(
            f"{delivery.file} exists already; add --force to replace it, or name another file with -o"
        )
    check_result(delivery.file, config, force=True)
    return replace(delivery, force=delivery.force or further.force)


def _continue(folder: Path, steps: int, config: Config) -> Path:
    """Make the run of more steps, and say which keys keep an image of so many steps from having the same pixels."""
    run = continued(folder, steps)
    if changed := changed_keys(config, run.config):
        log.warning(
            "%s ran over %d steps and %s so; an image of %d steps from the start would be another",
            " and ".join(changed), config.steps, "stay" if len(changed) > 1 else "stays", steps,
        )  # fmt: skip
    return run.folder
