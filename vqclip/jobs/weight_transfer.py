"""Weights on their way to machines that haven't got them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqclip.base.errors import WeightsError
from vqclip.base.files import atomic
from vqclip.base.paths import expand
from vqclip.config.schema import Config
from vqclip.models.clip import HUB, pretrained
from vqclip.requirements.needs import distinct, requirements
from vqclip.requirements.status import find, status
from vqclip.weights import catalog, store
from vqclip.weights.requirement import Requirement


@dataclass(frozen=True)
class WeightBundle:
    """The files behind a Requirement, and where their content is to be had."""

    need: Requirement
    digest: str
    before: str  # what a name says before the path of the files: in MODEL@FILE, "MODEL@"
    main: str  # of these files the one that the name means; "" for the folder
    contents: Mapping[str, Any]  # file name -> what `fetch` takes


def pack(configs: Iterable[Config], put: Callable[[bytes], Any]) -> dict[str, WeightBundle]:
    """A WeightBundle for each file or folder of weights that Configs name; `put` stores bytes where nodes can fetch
    them.

    What is missing here isn't sent: the job that needs it says so.
    """
    needs = distinct(need for config in configs for need in requirements(config))
    bundles = {}
    for need in needs:
        if not _known_everywhere(need.name):
            try:
                bundles[need.name] = _pack(need, find(need), put)
            except WeightsError:
                continue
    return bundles


def unpack(bundles: Mapping[str, WeightBundle], fetch: Callable[[Any], bytes]) -> dict[str, str]:
    """Where the names that this machine can't see lie on it from now on; a parcel is fetched once a machine."""
    locations = {}
    for name, bundle in bundles.items():
        if _is_here(bundle):
            continue
        home = expand("~/.cache") / "vqclip" / "weights" / bundle.digest
        home.mkdir(parents=True, exist_ok=True)
        for file, where in bundle.contents.items():
            if not (home / file).is_file():
                with atomic(home / file) as target:
                    target.write(fetch(where))
        locations[name] = bundle.before + str(home / bundle.main)
    return locations


def _known_everywhere(name: str) -> bool:
    """Whether a name means the same on every machine, which has those weights or can pull them."""
    return name in catalog.shipped() or name.startswith(HUB) or bool(pretrained(name))


def _pack(need: Requirement, weights: Path, put: Callable[[bytes], Any]) -> WeightBundle:
    model, at, path = need.name.partition("@")
    before = model + at if at and expand(path) == weights else ""
    if need.kind == "clip" and not before:
        main, files = "", sorted(weights.parent.iterdir())
    else:
        main, files = weights.name, [weights, *sorted(weights.parent.glob("*.yaml"))]
    contents = {file.name: put(file.read_bytes()) for file in files if file.is_file()}
    return WeightBundle(need, store.digest(weights), before, main, contents)


def _is_here(bundle: WeightBundle) -> bool:
    """Whether a name means those weights here as well; the store may have others under it."""
    known = store.digest_of(bundle.need.name)
    return status(bundle.need).path is not None and known in (None, bundle.digest)
