"""The ffmpeg that imageio packages: found, asked what it can do, and run."""

import re
import subprocess
from functools import cache
from pathlib import Path
from subprocess import PIPE
from typing import Any

from vqclip.base.errors import VideoError, cause

_ADVICE = "unset IMAGEIO_FFMPEG_EXE, or: pip install --force-reinstall imageio-ffmpeg"


def start(*arguments: str | Path, loglevel: str = "error", **pipes: Any) -> subprocess.Popen[bytes]:
    """ffmpeg, at work; raises VideoError if there is none.

    It has a session of its own: Ctrl-C is for this process to hear, which then ends what it began.
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
    """ffmpeg from beginning to end, with `given` on its stdin; raises VideoError if there is none."""
    with start(*arguments, loglevel=loglevel, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        try:
            out, err = process.communicate(given)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def check(encoder: str) -> None:
    """Refuse an ffmpeg that is missing, broken, or can't encode what is asked for; raises VideoError."""
    done = run("-encoders")
    if done.returncode or b"Encoders:" not in done.stdout:
        raise VideoError(f"{executable()} is no ffmpeg that works; {_ADVICE}")
    if not re.search(rf"^ V\S+ {encoder} ".encode(), done.stdout, re.MULTILINE):
        raise VideoError(f"{executable()} has no encoder {encoder}; {_ADVICE}")


@cache
def has_filter(name: str) -> bool:
    """Whether this ffmpeg has a filter."""
    return bool(re.search(rf"^ \S+ {name} ".encode(), run("-filters").stdout, re.MULTILINE))


def complaint(stderr: bytes) -> str:
    """What ffmpeg said last, in its shortest form."""
    lines = stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return lines[-1].split(": ")[-1].split("] ")[-1].strip().rstrip(".").lower()


def sound_codec(path: Path) -> str | None:
    """The codec of a file's first sound stream, or None where it has none."""
    match = re.search(rb"^ *Stream #0.*: Audio: (\w+)", run("-i", path, loglevel="info").stderr, re.MULTILINE)
    return match[1].decode() if match else None


def executable() -> str:
    """Where it is; raises VideoError if there is none."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe  # noqa: PLC0415  # only a video needs it
    except ImportError:
        raise VideoError("videos need ffmpeg; type: pip install imageio-ffmpeg") from None
    try:
        return str(get_ffmpeg_exe())
    except RuntimeError:
        raise VideoError(f"there is no ffmpeg here; {_ADVICE}") from None
