"""Find the init images that --init names: a file, several by a pattern, or one at an address."""

import glob
import hashlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from vqclip.base.errors import UsageError
from vqclip.base.paths import home
from vqclip.cli.display.console import complain

if TYPE_CHECKING:
    from vqclip.cli.painting_options import PaintingOptions

LARGEST = 2**26  # bytes of an image at an address
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)


def each_init(
    common: "PaintingOptions", output: str | None
) -> Iterator[tuple["PaintingOptions", str | None]]:
    """Give the options and the output of each image that --init names; {stem} in the output is the image's name.

    Of several images, those that can't be read are named and left out; exits with 1 at the end if there were some.
    """
    files = files_of(common.init, common.pull)
    if len(files) > 1 and output is not None and "{stem}" not in output:
        raise UsageError(
            f"--init names {len(files)} images, and -o one; write {{stem}} into it, as in -o 'out/{{stem}}.png'"
        )
    read = [file for file in files if len(files) == 1 or _is_read(file)]
    for file in read:
        stem = file and Path(file).stem.replace("{", "{{").replace("}", "}}")  # -o is a template
        yield replace(common, init=file), output.replace("{stem}", stem) if output and stem else output
    if len(read) < len(files):
        raise typer.Exit(1 if read else UsageError.exit_code)


def _is_read(file: str | None) -> bool:
    """Tell whether an image can be read; if not, say so."""
    from vqclip.base.errors import ImageError  # noqa: PLC0415
    from vqclip.media.image import load_image  # noqa: PLC0415

    try:
        load_image(Path(file or ""))
    except ImageError as error:
        complain(str(error))
        return False
    return True


def files_of(init: str | None, pull: bool) -> list[str | None]:
    """List the files that --init names, in the order of their names. Raises UsageError if there are none."""
    if init is None:
        return [None]
    if _ADDRESS.fullmatch(init):
        return [str(fetched(init, pull))]
    if not glob.has_magic(init) or Path(init).exists():
        return [init]
    found = sorted(path for path in glob.glob(init) if Path(path).is_file())
    if not found:
        raise UsageError(
            f"--init {init}: no file matches this pattern; write one that exists, as in 'photos/*.jpg'"
        )
    return list(found)


def one_init(init: str | None, pull: bool) -> str | None:
    """Give the file that --init names. Raises UsageError if there are several or none."""
    first, *others = files_of(init, pull)
    if others:
        raise UsageError(
            f"--init {init} names {1 + len(others)} images, and this command starts from one; name one, as in "
            f"--init {shlex.quote(str(first))}"
        )
    return first


def fetched(address: str, pull: bool) -> Path:
    """The image at an address, downloaded once into the folder of models. Raises UsageError and WeightsError."""
    name = Path(urlsplit(address).path).name or "image"
    target = home() / "inits" / f"{hashlib.sha256(address.encode()).hexdigest()[:12]}-{name[-80:]}"
    if target.is_file():
        return target
    if not pull:
        raise UsageError(f"--init {address}: it isn't on this machine; add --pull to download it")
    from vqclip.weights.download import Download  # noqa: PLC0415

    target.parent.mkdir(parents=True, exist_ok=True)
    Download(name, [address], target, largest=LARGEST).fetch()
    _check_image(target, address)
    return target


def _check_image(path: Path, address: str) -> None:
    """Delete a file that is no image; raises UsageError."""
    from vqclip.base.errors import ImageError  # noqa: PLC0415
    from vqclip.media.image import load_image  # noqa: PLC0415

    try:
        load_image(path)
    except ImageError:
        path.unlink()
        raise UsageError(f"--init {address}: what lies there is no image that vqclip can read") from None
