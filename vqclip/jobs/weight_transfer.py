"""Send weights to machines that lack them."""

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
    """Hold a Requirement's files, and the references by which nodes fetch their content."""

    need: Requirement
    digest: str
    before: str  # the part of a name before the path: in MODEL@FILE, "MODEL@"
    main: str  # the file that the name means; "" for the folder
    contents: Mapping[str, Any]  # file name -> what `fetch` takes


def pack(configs: Iterable[Config], put: Callable[[bytes], Any]) -> dict[str, WeightBundle]:
    """Make a WeightBundle for each file or folder of weights that Configs name; `put` stores bytes for the nodes.

    Weights that are missing here aren't sent; the job that needs them fails.
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
    """Fetch the bundles that this machine lacks, once a machine, and map their names to the fetched files."""
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
    """Tell whether a name means the same weights on every machine, because each has them or can pull them."""
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
    """Tell whether a name means the same weights on this machine; its store may have others of that name."""
    known = store.digest_of(bundle.need.name)
    return status(bundle.need).path is not None and known in (None, bundle.digest)
