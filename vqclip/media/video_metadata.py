"""Read and write a video's metadata, in each container's own way, and its sound.

MP4 has a title, a description and a comment, GIF a comment block, and WebP a chunk of XMP.
"""

import json
import re
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from vqclip.base.errors import SourceError, VideoError, cause
from vqclip.base.files import atomic, replacing
from vqclip.media import ffmpeg, xmp

# Sound that players expect in an MP4; any other is encoded anew.
_MP4_SOUND = ("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus")
_HAS_XMP = 0x04  # flag of the chunk VP8X
_BLOCK = 255  # bytes: the most that a block of a GIF's comment holds


@dataclass(frozen=True)
class Sound:
    """A file's sound from `begin` to `end` in seconds (None: to its end)."""

    path: Path
    begin: float = 0.0
    end: float | None = None


def seal(
    raw: Path, path: Path, seconds: float, metadata: Mapping[str, Any], title: str, sound: Sound | None = None
) -> None:
    """Write the video `path` from `raw`, an encoder's output, with metadata and the sound of as many seconds.

    Only an MP4 gets sound, and only if the sound's file has any. Raises VideoError.
    """
    try:
        if path.suffix.lower() == ".mp4":
            return _mux(raw, path, seconds, _mp4_metadata(metadata, title), sound)
        with raw.open("rb") as source, atomic(path) as target:
            if path.suffix.lower() == ".gif":
                _copy_gif(source, target, metadata)
            else:
                _copy_webp(source, target, metadata, title)
    except OSError as error:
        raise VideoError(f"{path} can't be written: {cause(error)}") from None


def read_video_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a video that vqclip made. Raises VideoError if there is none."""
    if not path.exists():
        raise SourceError(f"there is no video {path}")
    try:
        text = _read_mp4(path) if path.suffix.lower() == ".mp4" else _read_image(path)
    except VideoError:
        raise
    except Exception as error:  # see image._load_rgba
        raise SourceError(f"{path} can't be read: {error}") from None
    try:
        return dict(json.loads(text or ""))
    except (ValueError, TypeError):
        raise SourceError(f"{path} carries no config; only videos that vqclip made do") from None


def _mux(raw: Path, path: Path, seconds: float, metadata: bytes, sound: Sound | None) -> None:
    """Combine video and sound; encode only sound that an MP4 can't hold. The index goes in front for players."""
    inputs: list[str | Path] = ["-i", raw, "-f", "ffmetadata", "-i", "-"]
    streams, codecs = ["-map", "0:v", "-c:v", "copy"], ["copy"]
    if sound and (codec := ffmpeg.sound_codec(sound.path)):
        length = min(seconds, (sound.end or float("inf")) - sound.begin)
        inputs += ["-ss", f"{sound.begin:f}", "-t", f"{length:f}", "-i", sound.path]
        streams += ["-map", "2:a:0"]
        codecs = ["copy", "aac"] if codec in _MP4_SOUND else ["aac"]
    with replacing(path) as whole:
        for codec in codecs:  # even of a codec that it takes, an MP4 doesn't take every rate
            done = ffmpeg.run(
                *inputs, *streams, "-c:a", codec, "-map_metadata", "1", "-movflags", "+faststart", "-f", "mp4", whole,
                given=metadata,
            )  # fmt: skip
            if not done.returncode:
                return
        raise VideoError(f"{path} can't be written: {ffmpeg.complaint(done.stderr)}")


def _mp4_metadata(metadata: Mapping[str, Any], title: str) -> bytes:
    """Return metadata in ffmpeg's own text format."""
    values = {"title": title, "description": title, "comment": json.dumps(metadata)}
    lines = [f"{key}=" + re.sub(r"([=;#\\\n])", r"\\\1", value) for key, value in values.items()]
    return "\n".join([";FFMETADATA1", *lines, ""]).encode()


def _copy_gif(source: BinaryIO, target: BinaryIO, metadata: Mapping[str, Any]) -> None:
    """Copy a GIF, with a comment behind its header and palette."""
    header = source.read(13)
    palette = source.read(3 << ((header[10] & 7) + 1) if header[10] & 0x80 else 0)
    text = json.dumps(metadata).encode()
    blocks = (text[i : i + _BLOCK] for i in range(0, len(text), _BLOCK))
    target.write(header + palette + b"\x21\xfe")
    target.writelines(bytes([len(block)]) + block for block in blocks)
    target.write(b"\0")
    shutil.copyfileobj(source, target)


def _copy_webp(source: BinaryIO, target: BinaryIO, metadata: Mapping[str, Any], title: str) -> None:
    """Copy a WebP, with a chunk of XMP at the end, which the first chunk announces."""
    packet = xmp.encode(metadata, title)
    chunk = b"XMP " + struct.pack("<I", len(packet)) + packet + b"\0" * (len(packet) % 2)
    header = bytearray(source.read(21))
    (size,) = struct.unpack_from("<I", header, 4)
    struct.pack_into("<I", header, 4, size + len(chunk))
    header[20] |= _HAS_XMP
    target.write(header)
    shutil.copyfileobj(source, target)
    target.write(chunk)


def _read_mp4(path: Path) -> str | None:
    done = ffmpeg.run("-i", path, "-f", "ffmetadata", "-")
    if done.returncode:
        raise ValueError(ffmpeg.complaint(done.stderr))
    match = re.search(r"^comment=((?:\\.|[^\\\n])*)$", done.stdout.decode(), re.MULTILINE | re.DOTALL)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else None


def _read_image(path: Path) -> str | None:
    with Image.open(path) as image:
        comment, packet = image.info.get("comment"), image.info.get("xmp")
    if isinstance(packet, bytes):
        return xmp.decode(packet)
    return comment.decode(errors="replace") if isinstance(comment, bytes) else None
