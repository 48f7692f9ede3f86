"""Find, check and run the ffmpeg that imageio packages."""

import re
import subprocess
from functools import cache
from pathlib import Path
from subprocess import PIPE
from typing import Any

from vqclip.base.errors import VideoError, cause

_ADVICE = "unset IMAGEIO_FFMPEG_EXE, or: pip install --force-reinstall imageio-ffmpeg"


def start(*arguments: str | Path, loglevel: str = "error", **pipes: Any) -> subprocess.Popen[bytes]:
    """Start ffmpeg. Raises VideoError if there is none.

    ffmpeg gets a session of its own, so Ctrl-C reaches only this process, which then ends ffmpeg.
    """
    path = executable()
    # A path is a file's, whatever its name looks like: "http:a.mp4" is no address.
    words = [f"file:{word}" if isinstance(word, Path) else word for word in arguments]
    command = [path, "-hide_banner", "-loglevel", loglevel, "-nostdin", "-y", *words]
    try:
        return subprocess.Popen(command, start_new_session=True, **pipes)
    except OSError as error:
        raise VideoError(f"ffmpeg can't be run: {path}: {cause(error)}; {_ADVICE}") from None


def run(
    *arguments: str | Path, given: bytes = b"", loglevel: str = "error"
) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg to its end, with `given` on its stdin. Raises VideoError if there is none."""
    with start(*arguments, loglevel=loglevel, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        try:
            out, err = process.communicate(given)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def check(encoder: str) -> None:
    """Check that ffmpeg is there, works, and has the encoder. Raises VideoError."""
    done = run("-encoders")
    if done.returncode or b"Encoders:" not in done.stdout:
        raise VideoError(f"{executable()} doesn't work as ffmpeg; {_ADVICE}")
    if not re.search(rf"^ V\S+ {encoder} ".encode(), done.stdout, re.MULTILINE):
        raise VideoError(f"{executable()} has no encoder {encoder}; {_ADVICE}")


@cache
def has_filter(name: str) -> bool:
    """Tell whether this ffmpeg has a filter."""
    return bool(re.search(rf"^ \S+ {name} ".encode(), run("-filters").stdout, re.MULTILINE))


def complaint(stderr: bytes) -> str:
    """Return ffmpeg's last message in its shortest form."""
    lines = stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return lines[-1].split(": ")[-1].split("] ")[-1].strip().rstrip(".").lower()


def sound_codec(path: Path) -> str | None:
    """Return the codec of a file's first sound stream, or None if there is none."""
    match = re.search(rb"^ *Stream #0.*: Audio: (\w+)", run("-i", path, loglevel="info").stderr, re.MULTILINE)
    return match[1].decode() if match else None


def executable() -> str:
    """Return ffmpeg's path. Raises VideoError if there is none."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe  # noqa: PLC0415  # only a video needs it
    except ImportError:
        raise VideoError("videos need ffmpeg; type: pip install imageio-ffmpeg") from None
    try:
        return str(get_ffmpeg_exe())
    except RuntimeError:
        raise VideoError(f"there is no ffmpeg here; {_ADVICE}") from None
