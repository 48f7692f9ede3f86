"""Say which keys of a preset a file beats, as the file is the later layer."""

from pathlib import Path

from vqclip.config import resolve as configs
from vqclip.config.diff import flatten

MOST = 4  # keys that are named


def overrides(preset: str | None, file: Path | None) -> list[str]:
    """Describe in one line the keys that both give with different values; give no line if there are none."""
    if preset is None or file is None:
        return []
    below, above = (flatten(dict(base.above)) for base in (configs.base(preset), configs.base(None, file)))
    keys = [key for key, value in below.items() if key in above and str(above[key]) != str(value)]
    if not keys:
        return []
    more = f" and {len(keys) - MOST} more" if len(keys) > MOST else ""
    lost = "nothing of the preset holds" if len(keys) == len(below) else "the rest of the preset holds"
    return [f"{file} wins over --preset {preset} in {', '.join(keys[:MOST])}{more}; {lost}"]
