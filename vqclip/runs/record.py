"""The record in a run folder says what became of the painting; without it the painting isn't finished."""

import json
from pathlib import Path
from typing import Any

IMAGE, RECORD = "image.png", "painting.json"


def read_record(folder: Path) -> dict[str, Any] | None:
    """What became of the painting in a run folder, or None if it isn't finished."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and (folder / IMAGE).is_file() else None
