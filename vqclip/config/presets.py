"""Find presets by their names: those that ship with vqclip, and the user's own in `presets/` of the store."""

import re
from pathlib import Path

from vqclip.base.errors import ConfigError, cause
from vqclip.base.paths import CONFIGS, has_home, home


def shipped() -> dict[str, Path]:
    """Return the files of the presets that ship with vqclip, by name."""
    return _files(CONFIGS / "presets")


def own_folder() -> Path | None:
    """Return the folder of the user's own presets, which needn't exist, or None without a home folder."""
    return home() / "presets" if has_home() else None


def own() -> dict[str, Path]:
    """Return the files of the user's own presets by name, without those whose name a shipped one has."""
    folder, taken = own_folder(), shipped()
    return {name: path for name, path in _files(folder).items() if name not in taken} if folder else {}


def about(path: Path) -> str:
    """Return what a preset's first comment says of it, in one line; raises ConfigError if it can't be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {cause(error)}") from None
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("#").strip())
    return " ".join(comment)


def _files(folder: Path) -> dict[str, Path]:
    """Return the YAML files below a folder by name, the shortest paths first; none has a '+', which joins presets."""
    found = {}
    for path in folder.rglob("*.y*ml"):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if re.fullmatch(r"\.ya?ml", path.suffix) and "+" not in name and path.is_file():
            found[name] = path
    return dict(sorted(found.items(), key=lambda item: (item[0].count("/"), item[0])))
