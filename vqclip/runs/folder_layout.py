"""Name the files and folders of a run folder, and tell one from other folders."""

from pathlib import Path

CONFIG, PROVENANCE, STEPS = "config.yaml", "provenance.json", "steps.jsonl"
IMAGE, RECORD = "image.png", "painting.json"
SNAPSHOT, PREVIOUS = "snapshot.safetensors", "snapshot.previous.safetensors"
VIDEO, DRAWING = "film.mp4", "image.svg"
FRAMES, STILLS = "frames", "steps"


def is_run(folder: Path) -> bool:
    """Tell whether a folder, or what a link leads to, holds a run."""
    return (folder / CONFIG).is_file() and any((folder / name).is_file() for name in (PROVENANCE, RECORD))
