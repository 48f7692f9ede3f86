"""Fetch ordinary packages through their own clients and unpack what they carry.

Pictures with words come in npm and Debian packages; nothing here knows where those are served from.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

from training.images.qt_resources import read_resources

EMOJI_SETS = (
    "noto",
    "twemoji",
    "fluent-emoji-flat",
    "fluent-emoji",
    "openmoji",
    "emojione",
    "emojione-v1",
    "fxemoji",
    "noto-v1",
)
ADDED_EMOJI_SETS = ("streamline-emojis",)  # they came after the splits were fixed
ICON_SETS = ("flat-color-icons", "streamline-kameleon-color", "streamline-ultimate-color", "game-icons")
NPM_PACKAGES = (
    *(f"@iconify-json/{name}" for name in (*EMOJI_SETS, *ADDED_EMOJI_SETS, *ICON_SETS)),
    "@lobehub/fluent-emoji-3d",
    "cldr-annotations-full",
)
DEBIAN_PACKAGES = (
    "tuxpaint-stamps-default",
    "openclipart-svg",
    "wordnet-base",
    "gnome-backgrounds",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
    "ukui-wallpapers",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "sway-backgrounds",
    "gcompris-qt-data",
    "pysiogame",
    "wesnoth-1.16-data",
    "endless-sky-data",
)


def fetch_npm(package: str, folder: Path) -> Path:
    """Download and unpack one npm package; what is there already is taken as it is."""
    stem = package.removeprefix("@").replace("/", "-")
    unpacked = folder / "unpacked" / stem
    if unpacked.is_dir():
        return unpacked
    archive = _newest(folder, f"{stem}-[0-9]*.tgz")
    if archive is None:
        subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        archive = _newest(folder, f"{stem}-[0-9]*.tgz")
    if archive is None:
        raise FileNotFoundError(f"npm pack left no archive of {package} in {folder}")
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    return unpacked


def fetch_debian(package: str, folder: Path) -> Path:
    """Download and unpack one Debian package, without installing it."""
    unpacked = folder / "unpacked" / package
    if unpacked.is_dir():
        return unpacked
    archive = _newest(folder, f"{package}_*.deb")
    if archive is None:
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        archive = _newest(folder, f"{package}_*.deb")
    if archive is None:
        raise FileNotFoundError(f"apt-get download left no archive of {package} in {folder}")
    unpacked.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-x", str(archive), str(unpacked)], check=True)
    return unpacked


def unpack_resources(package: Path) -> Path:
    """Write out what a package's Qt resource files carry, in a folder beside them."""
    folder = package / "resources"
    if folder.is_dir():
        return folder
    temporary = package / "resources.part"
    for path in sorted(package.rglob("*.rcc")):
        for inside, content in read_resources(path):
            place = temporary / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    temporary.rename(folder)
    return folder


def fetch_all(folder: Path) -> dict[str, Path]:
    """Every package of the data set → the folder it was unpacked to."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {name: fetch_npm(name, folder) / "package" for name in NPM_PACKAGES}
    return places | {name: fetch_debian(name, folder) for name in DEBIAN_PACKAGES}


def _newest(folder: Path, pattern: str) -> Path | None:
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None
