"""What every command that paints may be asked, declared once, and how it is carried out."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqclip import prompt as prompts
from vqclip.cli import options
from vqclip.cli.console import listen_to_library, obey, say

if TYPE_CHECKING:
    from vqclip.cli.wanted import Wanted
    from vqclip.schema import Config


@dataclass(frozen=True)
class Asked:
    """The options that all painting commands share."""

    size: options.Size = None
    steps: options.Steps = None
    seed: options.Seed = None
    preset: options.Preset = None
    file: options.File = None
    settings: options.Settings = None
    init: options.Init = None
    image_prompts: options.ImagePrompts = None
    device: options.Device = "auto"
    runs: options.Runs = Path("runs")
    plan: options.Plan = False
    as_json: options.Json = False
    quiet: options.Quiet = False
    pull: options.Pull = False
    offline: options.Offline = False

    def config(self, prompt: str, preset: str | None = None, **sections: Mapping[str, Any]) -> "Config":
        """The Config of a prompt: a command's own preset below the one that was asked for, its sections on top.

        What is None in a section was not given.
        """
        from vqclip import config as configs  # noqa: PLC0415

        pictures = [prompts.format(prompts.image(given)) for given in self.image_prompts or []]
        named = {"size": self.size, "steps": self.steps, "seed": self.seed, "init": self.init}
        given = {"prompts": [prompt, *pictures]} | _given(named)
        given |= {name: _given(section) for name, section in sections.items()}
        layers = "+".join(filter(None, [preset, self.preset])) or None
        return configs.resolve(given, layers, self.file, self.settings or [])

    def carry_out(
        self,
        wanted: Sequence["Wanted"],
        keep: int | None = None,
        judge: str | None = None,
        together: int | None = None,
    ) -> None:
        """Say what was understood, and plan it or paint it, so many `together` or as many as is best.

        With `keep`, the best so many by a judge are results.
        """
        if not self.quiet:
            for wish in wanted[0].config.wishes:
                say("wish", describe(wish))
        ranks = (judge or wanted[0].config.perceptors[0].model) if keep else None
        if self.plan:
            from vqclip.cli.plan import explain  # noqa: PLC0415

            return explain(wanted, self.device, self.runs, together, ranks, self.as_json)

        from vqclip.cli.work import Contest, paint  # noqa: PLC0415

        contest = Contest(keep, ranks) if keep and ranks else None
        return paint(
            wanted, self.device, self.runs, contest,
            together=together, as_json=self.as_json, quiet=self.quiet, pull=self.pull,
        )  # fmt: skip


def painting(command: Callable[..., None]) -> Callable[..., None]:
    """A command of its own options and those of Asked, which it gets as its argument `asked`."""
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "asked"]
    shared = inspect.signature(Asked).parameters

    @functools.wraps(command)
    def whole(**given: Any) -> None:
        asked = Asked(**{name: given.pop(name) for name in shared})
        obey(asked.offline)
        listen_to_library(asked.quiet)
        command(**given, asked=asked)

    # The command line is read off the signature.
    whole.__signature__ = inspect.Signature([*own, *shared.values()])  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in [*own, *shared.values()]}
    return whole


def describe(wish: prompts.Prompt) -> str:
    """What was understood of a prompt."""
    weight = f"{wish.weight:g}" if wish.course is None else f"{{{wish.course}}}"
    away = " (away from it)" if wish.weight < 0 else ""
    stop = "" if wish.stop == float("-inf") else f", stop {wish.stop:g}"
    return f"{wish.label} · {wish.kind.value}, weight {weight}{away}{stop}"


def _given(named: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a user gave, as plain data."""
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in named.items()}
    return {key: value for key, value in plain.items() if value is not None}
