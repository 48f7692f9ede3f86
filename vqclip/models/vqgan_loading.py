"""From a name or a file to a frozen VQGAN."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vqclip.base.errors import WeightsError, suggest
from vqclip.base.paths import expand
from vqclip.models.folding import freeze
from vqclip.models.kernels import CPU
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_configs import (
    NOTE,
    find_description,
    make_architecture,
    name_some,
    read_description,
    read_note,
    read_shapes,
    reconcile,
)
from vqclip.weights import catalog, store
from vqclip.weights.checkpoint import WEIGHTS, read_checkpoint, read_header
from vqclip.weights.vqgan_state_dicts import Tensors, respell

COLOURS = 3  # channels of an image


def load_vqgan(name: str, device: torch.device = CPU) -> VQGAN:
    """The frozen VQGAN of a catalogue name, a file, or a folder, in fp32; raises WeightsError.

    It is ready for a device, lies on the CPU, and has no codes but those that training used. Where the file is one of
    ours, in fp32, its tensors stay mapped from the disk.
    """
    model, tensors = _matched(find_vqgan(name))
    model.load_state_dict({key: tensors[key].float() for key in model.state_dict()}, assign=True)
    model.forget_dead_codes()
    return freeze(model, device)


def load_vqgan_onto(name: str, device: torch.device, dtype: torch.dtype) -> VQGAN:
    """Load a VQGAN as `load_vqgan` does, onto a device and in a type."""
    return load_vqgan(name, device).to(device, dtype)


def find_vqgan(name: str) -> Path:
    """The weights' file that a name, a file or a folder means; raises WeightsError."""
    store.record(name)  # which says so if it is damaged
    card = store.cards().get(name)
    if card is not None and card.family == "vqgan":
        return store.locate(card)
    path = expand(name)
    if os.path.isdir(path):
        files = sorted(file for file in path.iterdir() if file.suffix in WEIGHTS)
        if len(files) != 1:
            raise WeightsError(f"{path} holds {len(files)} files of weights; name one of them")
        path = files[0]
    if os.path.isfile(path):
        return path
    hint = suggest(name, catalog.names("vqgan")) or "; `vqclip models list` prints the names"
    raise WeightsError(f"there is no VQGAN {name!r}: no such file, and no such name in the catalogue{hint}")


def architecture_of(name: str) -> Architecture:
    """What a name's or file's VQGAN is made of; raises WeightsError. No numbers are read where notes tell."""
    weights = find_vqgan(name)
    return _described(weights) or read_vqgan(weights)[0]


def read_vqgan(
    weights: Path, stated: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Architecture, Tensors]:
    """Architecture and tensors, in our spelling, of a file in any layout; raises WeightsError if they don't fit.

    `stated` is what the user says about it, see `parse_stated`.
    """
    model, tensors = _matched(weights, stated)
    return model.architecture, tensors


def _matched(weights: Path, stated: Mapping[str, Any] = MappingProxyType({})) -> tuple[VQGAN, Tensors]:
    """The network without its weights, and the weights."""
    checkpoint = read_checkpoint(weights)
    known = {key: checkpoint.setting(key) for key in ("tanh_out", "codebook_l2_norm")}
    known = {key: value for key, value in known.items() if isinstance(value, bool)} | dict(stated)
    tensors = respell(checkpoint.tensors, unit_codes=known.pop("codebook_l2_norm", True))
    architecture = _of_file(weights, tensors, known)
    with torch.device("meta"), SkipInit():
        model = VQGAN(architecture)
    beside = find_description(weights)
    check_fit(weights, "its description" if beside is None else beside.name, model.state_dict(), tensors)
    channels = (
        (architecture.in_channels, architecture.out_ch) if architecture.encoder else (architecture.out_ch,)
    )
    if set(channels) != {COLOURS}:
        raise WeightsError(
            f"{weights} is a VQGAN of images with {channels[-1]} channels, as segmentations or depths have; "
            f"vqclip takes those of {COLOURS}"
        )
    return model, tensors


def _of_file(weights: Path, tensors: Tensors, known: Mapping[str, Any]) -> Architecture:
    """The architecture by a file's own notes, or by its tensors and the description beside it, in this order."""
    note, beside = read_header(weights).get(NOTE), find_description(weights)
    if note is not None:
        return read_note(weights, note)
    try:
        fields = read_shapes(weights, tensors)
    except WeightsError:
        if beside is None:
            raise
        return read_description(beside)
    if beside is not None:
        fields = reconcile(read_description(beside, fields), fields)
    return make_architecture(weights, {**fields, **known})


def _described(weights: Path) -> Architecture | None:
    """The architecture as the file itself or its neighbour tells it."""
    note = read_header(weights).get(NOTE)
    if note is not None:
        return read_note(weights, note)
    beside = find_description(weights)
    try:
        return None if beside is None else read_description(beside)
    except WeightsError:
        return None  # its tensors may tell the rest


class SkipInit(TorchFunctionMode):
    """Builds networks for the weights of a file: none are drawn at random, and the file's are taken, not copied.

    Random ones on the meta device would even import half of torch's compiler, 1.5 s. Copies would fill memory with what
    is there already: a file's mapped pages, which are let go once the weights have the kind that decoding wants.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        if func is Tensor.copy_ and _could_be(*args[:2]):
            args[0].data = args[1]
            return args[0]
        return func(*args, **(kwargs or {}))


def _could_be(weight: Tensor, given: Any) -> bool:
    """Whether a network's weight may be the given tensor itself."""
    return isinstance(weight, nn.Parameter) and all(
        getattr(weight, name) == getattr(given, name, None) for name in ("shape", "dtype", "device")
    )


def check_fit(path: Path, against: str, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Refuse tensors that aren't, by name and shape, the expected ones; raises WeightsError that names some."""
    missing, unknown = sorted(expected.keys() - given.keys()), sorted(given.keys() - expected.keys())
    misshapen = [key for key in expected.keys() & given.keys() if expected[key].shape != given[key].shape]
    for what, keys in (
        ("lacks", missing),
        ("has unknown", unknown),
        ("has other shapes for", sorted(misshapen)),
    ):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise WeightsError(f"{path} doesn't fit {against}: it {what} {name_some(keys)}{more}")
