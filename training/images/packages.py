"""Fetch ordinary packages through their own clients and unpack what they carry.

Pictures with words come in npm and Debian packages; nothing here knows where those are served from.
"""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

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
NPM_PACKAGES = (*(f"@iconify-json/{name}" for name in EMOJI_SETS), "cldr-annotations-full")
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


def fetch_all(folder: Path) -> dict[str, Path]:
    """Every package of the data set → the folder it was unpacked to."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {name: fetch_npm(name, folder) / "package" for name in NPM_PACKAGES}
    return places | {name: fetch_debian(name, folder) for name in DEBIAN_PACKAGES}


def _newest(folder: Path, pattern: str) -> Path | None:
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None
