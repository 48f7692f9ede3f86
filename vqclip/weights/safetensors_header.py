"""Read the header of a safetensors file as plain JSON, without torch and without numbers."""

import json
from pathlib import Path
from typing import Any

from vqclip.base.errors import WeightsError, cause

LARGEST = 2**26  # bytes of a header


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a .safetensors file; empty for any other kind of file. Raises WeightsError."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(length)) if length <= LARGEST else None
        return {str(key): str(value) for key, value in dict(header.get("__metadata__", {})).items()}
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {cause(error)}") from None
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise WeightsError(f"{path} has no header of a safetensors file; fetch it again") from None
