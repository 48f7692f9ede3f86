"""Declare the options of every command that generates images, and carry the command out."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqclip.cli import options
from vqclip.cli.display.console import listen_to_library, obey, say
from vqclip.config import prompt as prompts

if TYPE_CHECKING:
    from vqclip.cli.outputs import OutputSpec
    from vqclip.config.schema import Config


@dataclass(frozen=True)
class PaintingOptions:
    """The options that all commands share which make images."""

    size: options.Size = None
    steps: options.Steps = None
    seed: options.Seed = None
    preset: options.Preset = None
    file: options.File = None
    settings: options.Settings = None
    init: options.Init = None
    start: options.Start = None
    drawer: options.Drawer = None
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
        from vqclip.config import resolve as configs  # noqa: PLC0415

        images = [prompts.format(prompts.image(given)) for given in self.image_prompts or []]
        given_keys = {"size": self.size, "steps": self.steps, "seed": self.seed, "init": self.init}
        given = {"prompts": [prompt, *images]} | _given(given_keys)
        given |= {name: _given(section) for name, section in sections.items()}
        layers = "+".join(filter(None, [preset, self.preset])) or None
        # First, so that --set can give their keys.
        named = [
            f"{name}={value}" for name, value in (("drawer", self.drawer), ("start", self.start)) if value
        ]
        return configs.resolve(given, layers, self.file, [*named, *(self.settings or [])])

    def run(
        self,
        outputs: Sequence["OutputSpec"],
        keep: int | None = None,
        judge: str | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Say what was understood, and plan it or make it, so many `batch_size` or as many as is best.

        With `keep`, the best so many by a judge are results.
        """
        if not self.quiet:
            for prompt in outputs[0].config.parsed_prompts:
                say("prompt", describe(prompt))
        ranks = (judge or outputs[0].config.perceptors[0].label) if keep else None
        if self.plan:
            from vqclip.cli.plan import explain  # noqa: PLC0415

            return explain(outputs, self.device, self.runs, batch_size, ranks, self.as_json)

        from vqclip.cli.session_calls import BestOf, paint  # noqa: PLC0415

        best_of = BestOf(keep, ranks) if keep and ranks else None
        return paint(
            outputs, self.device, self.runs, best_of,
            batch_size=batch_size, as_json=self.as_json, quiet=self.quiet, pull=self.pull,
        )  # fmt: skip


def painting(command: Callable[..., None]) -> Callable[..., None]:
    """A command of its own options and those of PaintingOptions, which it gets as its argument `common`."""
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "common"]
    shared = inspect.signature(PaintingOptions).parameters

    @functools.wraps(command)
    def whole(**given: Any) -> None:
        common = PaintingOptions(**{name: given.pop(name) for name in shared})
        obey(common.offline)
        listen_to_library(common.quiet)
        command(**given, common=common)

    # The command line is read off the signature.
    whole.__signature__ = inspect.Signature([*own, *shared.values()])  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in [*own, *shared.values()]}
    return whole


def describe(prompt: prompts.Prompt) -> str:
    """Describe a parsed prompt in one line."""
    weight = f"{prompt.weight:g}" if prompt.course is None else f"{{{prompt.course}}}"
    away = " (away from it)" if prompt.weight < 0 else ""
    stop = "" if prompt.stop == float("-inf") else f", stop {prompt.stop:g}"
    return f"{prompt.label} · {prompt.kind.value}, weight {weight}{away}{stop}"


def _given(named: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a user gave, as plain data."""
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in named.items()}
    return {key: value for key, value in plain.items() if value is not None}
