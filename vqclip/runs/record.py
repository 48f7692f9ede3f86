"""Read the record of a run folder, which has the run's results and marks it as finished."""

import json
import logging
from pathlib import Path
from typing import Any

from vqclip.base.errors import cause
from vqclip.base.files import write_text
from vqclip.runs.folder_layout import IMAGE, RECORD

log = logging.getLogger(__name__)


def read_record(folder: Path) -> dict[str, Any] | None:
    """Read the record of a run folder, or give None if the run isn't finished."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and (folder / IMAGE).is_file() else None


def keep_score(folder: Path, score: float, judge: str) -> None:
    """Add to a finished run's record how similar a judge found its image to its prompts, from -1 to 1."""
    if (record := read_record(folder)) is None:
        return
    record |= {"score": round(score, 4), "judge": judge}
    try:
        write_text(folder / RECORD, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
    except OSError as error:
        log.warning("%s: the score can't be written: %s", folder, cause(error))
