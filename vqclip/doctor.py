"""Check what a machine has and lacks for making images, each finding with what to do about it."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from vqclip import __version__
from vqclip.base import device as devices
from vqclip.base.errors import VideoError, VqclipError
from vqclip.base.files import is_writable
from vqclip.base.paths import has_home, home, offline
from vqclip.config import resolve as configs
from vqclip.media import ffmpeg
from vqclip.media.video_writer import ENCODERS
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import missing
from vqclip.weights import store
from vqclip.weights.catalog import human

ENOUGH_MEMORY, ENOUGH_DISK = (
    4 * 10**9,
    2 * 10**9,
)  # bytes: for the mini models with room, for a converted model
_PACKAGES = (
    "torch",
    "torchvision",
    "open_clip_torch",
    "timm",
    "safetensors",
    "huggingface_hub",
    "pillow",
    "pyyaml",
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` is empty where all is well."""

    topic: str
    text: str
    advice: str = ""
    hinders: bool = False  # no image can be made with what ships

    @property
    def verdict(self) -> str:
        return "bad" if self.hinders else "note" if self.advice else "ok"


def examine(runs: Path = Path("runs")) -> Iterator[Finding]:
    """Everything worth knowing, one after the other."""
    yield from _versions()
    yield from _devices()
    yield _memory()
    yield _ffmpeg()
    yield from _models()
    yield from _presets()
    if has_home():
        yield _folder("store", home(), "set VQCLIP_HOME to a folder that can be written to")
    else:
        yield Finding("store", "there is no home folder", "set VQCLIP_HOME to a folder")
    yield _folder("runs", runs, "name another folder with --runs")
    yield _network()


def _versions() -> Iterator[Finding]:
    yield Finding("vqclip", f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    for package in _PACKAGES:
        try:
            yield Finding("package", f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Finding("package", f"{package} is missing", f"pip install {package}", hinders=True)


def _devices() -> Iterator[Finding]:
    for name in devices.present():
        device = torch.device(name)
        dtype = devices.arithmetic("auto", device)
        yield Finding("device", f"{devices.describe(device)}, in {dtype}")
    if devices.present() == ["cpu"]:
        advice = "make small images, or use a machine with a GPU that torch was built for"
        yield Finding("device", "no GPU that this torch can use", advice)


def _memory() -> Finding:
    free = devices.free_memory(torch.device("cpu"))
    advice = "" if free >= ENOUGH_MEMORY else "close something, or use --preset draft"
    return Finding("memory", f"{human(free)} free", advice)


def _ffmpeg() -> Finding:
    try:
        for encoder in ENCODERS.values():
            ffmpeg.check(encoder)
        return Finding("ffmpeg", ffmpeg.executable())
    except VideoError as error:
        return Finding("ffmpeg", "videos can't be made", str(error))


def _models() -> Iterator[Finding]:
    for name, card in store.cards().items():
        if not card.ships and store.record(name) is None:
            continue
        try:
            store.verify(name)
            yield Finding("model", f"{name} is whole")
        except VqclipError as error:
            yield Finding("model", f"{name} is damaged", str(error), hinders=card.ships)
    if not store.records():
        advice = "vqclip models list shows what can be had"
        yield Finding("model", "only the mini models that ship with vqclip are here", advice)


def _presets() -> Iterator[Finding]:
    """The presets whose models have yet to be fetched."""
    for preset in configs.presets():
        absent = missing(requirements(configs.resolve(preset=preset)))
        if names := [f"{found.need.name} ({found.size})" for found in absent if found.fetchable]:
            text = f"preset {preset} needs {' and '.join(names)}"
            yield Finding("model", text, f"vqclip models pull --preset {preset}")


def _folder(topic: str, folder: Path, advice: str) -> Finding:
    nearest = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not is_writable(nearest):
        return Finding(topic, f"{folder} can't be written to", advice, hinders=topic == "runs")
    free = shutil.disk_usage(nearest).free
    short = "" if free >= ENOUGH_DISK else f"make room on the disk of {folder}"
    return Finding(topic, f"{folder}, {human(free)} free", short)


def _network() -> Finding:
    if offline():
        return Finding("network", "forbidden by VQCLIP_OFFLINE or HF_HUB_OFFLINE")
    proxies = [
        name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if os.environ.get(name)
    ]
    token = "with" if os.environ.get("HF_TOKEN") else "without"
    return Finding("network", f"allowed, {f'by {proxies[0]}' if proxies else 'no proxy'}, {token} HF_TOKEN")
