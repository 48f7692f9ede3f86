"""Check a zip archive before its tensors are read.

A zip archive comes from a stranger, and may lie about its sizes. They are compared with the size of the file, so that
reading takes no more memory or disk than the file's length justifies.
"""

import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from vqclip.base.errors import WeightsError, cause

LARGEST_PICKLE = 64 * 2**20  # the tensors lie beside it; of a 4 GB Lightning file it is 1 MB
PACKING = 8  # how many times larger than the zip its content may be: weights hardly compress


def check_torch_archive(path: Path) -> str:
    """Check that a zip archive is as torch.save writes it. Return the folder in it that holds data.pkl."""
    with zipfile.ZipFile(path) as archive:
        # The code of a TorchScript archive is packed; it is never read.
        members = [member for member in archive.infolist() if "/code/" not in member.filename]
        _check_members(path, members)
        pickles = [m for m in members if m.filename.count("/") == 1 and m.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise WeightsError(
                f"{path} is a zip archive, but not of torch.save's: it has {len(pickles)} data.pkl"
            )
        if pickles[0].file_size > LARGEST_PICKLE:
            raise WeightsError(f"{path} is refused: its data.pkl has {pickles[0].file_size} bytes")
    return pickles[0].filename.removesuffix("data.pkl")


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise WeightsError(
                f"{path} is refused: {member.filename!r} in it is compressed; torch.save never does"
            )
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts:
            raise WeightsError(f"{path} is refused: it names a file {member.filename!r}")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise WeightsError(f"{path} is refused: its parts claim to be larger than the whole")


@contextmanager
def unpacked(path: Path, suffixes: tuple[str, ...], beside: Path) -> Iterator[Path]:
    """Unpack the one file of weights in any other zip archive, as latent-diffusion publishes it, or return the path.

    It is unpacked into the folder `beside`, under a name of ours, until the context ends.
    """
    inner = _only_weights(path, suffixes)
    if inner is None:
        yield path
        return
    if inner.file_size > PACKING * path.stat().st_size:
        raise WeightsError(f"{path} is refused: it would unpack to {inner.file_size} bytes")
    handle, name = tempfile.mkstemp(suffix=PurePosixPath(inner.filename).suffix, dir=beside)
    try:
        with os.fdopen(handle, "wb") as target:
            _unpack(path, inner, target)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _unpack(path: Path, inner: zipfile.ZipInfo, target: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(inner) as source:
            shutil.copyfileobj(source, target, 2**20)  # zipfile stops at the size that was checked
    except OSError as error:
        raise WeightsError(f"{path} can't be unpacked: {cause(error)}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise WeightsError(f"{path} can't be unpacked ({error}); fetch it again") from None


def _only_weights(path: Path, suffixes: tuple[str, ...]) -> zipfile.ZipInfo | None:
    if path.suffix == ".safetensors":
        return None
    try:
        if not zipfile.is_zipfile(path):
            return None
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise WeightsError(f"{path} is a damaged archive ({error}); fetch it again") from None
    if any(member.filename.endswith("data.pkl") for member in members):
        return None
    weights = [member for member in members if PurePosixPath(member.filename).suffix in suffixes]
    if len(weights) != 1:
        raise WeightsError(
            f"{path} is a zip archive with {len(weights)} files of weights; give the one you mean"
        )
    return weights[0]
