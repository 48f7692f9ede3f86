"""Read the record of a run folder, which has the run's results and marks it as finished."""

import json
from pathlib import Path
from typing import Any

IMAGE, RECORD = "image.png", "painting.json"


def read_record(folder: Path) -> dict[str, Any] | None:
    """Read the record of a run folder, or give None if the run isn't finished."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and (folder / IMAGE).is_file() else None
