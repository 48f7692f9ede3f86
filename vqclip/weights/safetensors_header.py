"""Read the header of a safetensors file as plain JSON, and the bytes of a tensor, without torch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqclip.base.errors import WeightsError, cause

if TYPE_CHECKING:
    import numpy as np

LARGEST = 2**26  # bytes of a header


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a .safetensors file; empty for any other kind of file. Raises WeightsError."""
    if path.suffix != ".safetensors":
        return {}
    try:
        header, _ = _header(path)
        return {str(key): str(value) for key, value in dict(header.get("__metadata__", {})).items()}
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {cause(error)}") from None
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise WeightsError(f"{path} has no header of a safetensors file; fetch it again") from None


def map_bytes(path: Path, name: str) -> "np.ndarray":
    """Map a tensor of eight-bit numbers as its bytes, in its shape, without reading them; raises OSError, KeyError."""
    import numpy as np  # noqa: PLC0415  # not for what reads headers alone

    header, end = _header(path)
    entry = header[name]
    return np.memmap(path, np.uint8, "r", end + entry["data_offsets"][0], tuple(entry["shape"]))


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Read the header, and where it ends in the file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST:
            raise ValueError(f"a header of {length} bytes")
        return json.loads(file.read(length)), 8 + length
