"""See that the weights are here before an image is begun."""

from collections.abc import Iterable

import torch

from vqclip.cli.commands.models import fetch
from vqclip.cli.display.console import say
from vqclip.requirements.needs import distinct
from vqclip.requirements.pairs import suggestion
from vqclip.requirements.status import check, missing, status
from vqclip.weights.requirement import Requirement

LARGER = "--preset pairs/classic and vqclip models list"


def provide(
    needs: Iterable[Requirement],
    *,
    pull: bool,
    quiet: bool,
    device: torch.device | None = None,
    larger: str = LARGER,
) -> None:
    """See that the weights are here, or fetch them if that was asked for; raises WeightsError with the line to type.

    Where they may be chosen anew, a line says before which ones suit the `device`. `larger` is where the command's user
    finds larger ones.
    """
    needs = distinct(needs)
    absent = missing(needs)
    if device is not None and absent and not pull and not quiet:
        say("models", suggestion(device))
    check(absent, pull)
    for found in absent:
        fetch(found.need.name, quiet)
    if not quiet:
        say_models(needs, larger)


def say_models(needs: Iterable[Requirement], larger: str = LARGER) -> None:
    """Say which models are used, and where `larger` ones are found if all of them ship with vqclip."""
    needs = distinct(needs)
    if needs:
        small = all(status(need).ships for need in needs)
        more = f"; for larger ones see {larger}" if small else ""
        say("models", ", ".join(dict.fromkeys(need.name for need in needs)) + more)
