"""Weights on their way to machines that haven't got them."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vqclip.files import atomic
from vqclip.models.store import cards, digest
from vqclip.resources import expand
from vqclip.schema import Config


@dataclass(frozen=True)
class Parcel:
    """The files behind one name of a Config's, and where their content is to be had."""

    digest: str
    main: str  # of these files the one that the name means; "" for the folder
    contents: Mapping[str, Any]  # file name -> what `fetch` takes


def pack(configs: Iterable[Config], put: Callable[[bytes], Any]) -> dict[str, Parcel]:
    """A Parcel for each file or folder of weights that Configs name; `put` stores bytes where nodes can fetch them."""
    names = {name for config in configs for name in (config.vqgan, *(p.model for p in config.perceptors))}
    parcels = {}
    for name in sorted(names - cards().keys()):
        path = expand(name)
        files = sorted(path.iterdir()) if path.is_dir() else [path, *path.parent.glob("*.yaml")]
        if path.exists():
            contents = {file.name: put(file.read_bytes()) for file in files if file.is_file()}
            weights = max(files, key=lambda file: file.stat().st_size)
            parcels[name] = Parcel(digest(weights), "" if path.is_dir() else path.name, contents)
    return parcels


def unpack(parcels: Mapping[str, Parcel], fetch: Callable[[Any], bytes]) -> dict[str, str]:
    """Where the names that this machine can't see lie on it from now on; a parcel is fetched once a machine."""
    places = {}
    for name, parcel in parcels.items():
        if os.path.exists(expand(name)):
            continue
        home = expand("~/.cache") / "vqclip" / "weights" / parcel.digest
        home.mkdir(parents=True, exist_ok=True)
        for file, where in parcel.contents.items():
            if not (home / file).is_file():
                with atomic(home / file) as target:
                    target.write(fetch(where))
        places[name] = str(home / parcel.main)
    return places
