"""Weights on their way to machines that haven't got them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqclip.errors import WeightsError
from vqclip.files import atomic
from vqclip.models import catalog, store
from vqclip.models.clip import HUB, pretrained
from vqclip.requirements.needs import Requirement, distinct, requirements
from vqclip.requirements.status import find, status
from vqclip.resources import expand
from vqclip.schema import Config


@dataclass(frozen=True)
class Parcel:
    """The files behind a Requirement, and where their content is to be had."""

    need: Requirement
    digest: str
    before: str  # what a name says before the path of the files: in MODEL@FILE, "MODEL@"
    main: str  # of these files the one that the name means; "" for the folder
    contents: Mapping[str, Any]  # file name -> what `fetch` takes


def pack(configs: Iterable[Config], put: Callable[[bytes], Any]) -> dict[str, Parcel]:
    """A Parcel for each file or folder of weights that Configs name; `put` stores bytes where nodes can fetch them.

    What is missing here isn't sent: the job that needs it says so.
    """
    needs = distinct(need for config in configs for need in requirements(config))
    parcels = {}
    for need in needs:
        if not _known_everywhere(need.name):
            try:
                parcels[need.name] = _pack(need, find(need), put)
            except WeightsError:
                continue
    return parcels


def unpack(parcels: Mapping[str, Parcel], fetch: Callable[[Any], bytes]) -> dict[str, str]:
    """Where the names that this machine can't see lie on it from now on; a parcel is fetched once a machine."""
    places = {}
    for name, parcel in parcels.items():
        if _is_here(parcel):
            continue
        home = expand("~/.cache") / "vqclip" / "weights" / parcel.digest
        home.mkdir(parents=True, exist_ok=True)
        for file, where in parcel.contents.items():
            if not (home / file).is_file():
                with atomic(home / file) as target:
                    target.write(fetch(where))
        places[name] = parcel.before + str(home / parcel.main)
    return places


def _known_everywhere(name: str) -> bool:
    """Whether a name means the same on every machine, which has those weights or can pull them."""
    return name in catalog.shipped() or name.startswith(HUB) or bool(pretrained(name))


def _pack(need: Requirement, weights: Path, put: Callable[[bytes], Any]) -> Parcel:
    model, at, path = need.name.partition("@")
    before = model + at if at and expand(path) == weights else ""
    if need.kind == "clip" and not before:
        main, files = "", sorted(weights.parent.iterdir())
    else:
        main, files = weights.name, [weights, *sorted(weights.parent.glob("*.yaml"))]
    contents = {file.name: put(file.read_bytes()) for file in files if file.is_file()}
    return Parcel(need, store.digest(weights), before, main, contents)


def _is_here(parcel: Parcel) -> bool:
    """Whether a name means those weights here as well; the store may have others under it."""
    known = store.digest_of(parcel.need.name)
    return status(parcel.need).path is not None and known in (None, parcel.digest)
