"""Find the filters that a video's frames need for a plain screen with square pixels."""

import logging
import re
from dataclasses import dataclass

from vqclip.media import ffmpeg

_LARGEST_ASPECT = 16  # of a pixel; beyond, a file is mistaken
_SQUARE = "scale='if(gt(sar,1),iw*sar,iw)':'if(gt(sar,1),ih,ih/sar)':flags=bicubic,setsar=1"
_HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
# White is at 100 cd/m², as for a plain screen; from 70 % of it on, the curve bends towards a peak of 1000.
_TONE_MAP = (
    "zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,"
    "tonemap=mobius:param=0.7:peak=10:desat=0,zscale=transfer=bt709:matrix=gbr:range=pc,format=gbrp"
)
_WITH_ALPHA = re.compile(r"(argb|abgr|rgba|bgra|yuva|gbrap|ya8|ya16|ayuv|vuya|uyva|pal8)")
# ffmpeg's own decoders leave the alpha of these out.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True)
class Look:
    """The filters and the decoder that frames need, and whether frames are transparent."""

    filters: tuple[str, ...] = ()
    decoder: tuple[str, ...] = ()
    is_transparent: bool = False

    @classmethod
    def parse(cls, said: str) -> "Look":
        """Parse the look of a video out of what ffmpeg `said`, with its filter showinfo."""
        codec = re.search(r"Stream #0.*?: Video: (\w+)", said)
        hidden = (
            re.search(r"alpha_mode *: *1", said, re.IGNORECASE) and codec and _ALPHA_DECODERS.get(codec[1])
        )
        layout = re.search(r" fmt:(\w+)", said)
        return cls(
            tuple(filter(None, (_square(said), _plain(said)))),
            ("-c:v", hidden) if hidden else (),
            bool(hidden or (layout and _WITH_ALPHA.match(layout[1]))),
        )


def _square(said: str) -> str | None:
    """Return the filter for pixels that aren't square."""
    match = re.search(r" sar:(\d+)/(\d+)", said)
    width, height = (int(match[1]), int(match[2])) if match else (1, 1)
    is_odd = (
        width and height and width != height and max(width, height) <= _LARGEST_ASPECT * min(width, height)
    )
    return _SQUARE if is_odd else None


def _plain(said: str) -> str | None:
    """Return the filters from high dynamic range to that of a plain screen."""
    found = dict(re.findall(r"color_(space|primaries|trc):([\w-]+)", said))
    if found.get("trc") not in _HDR:
        return None
    if not ffmpeg.has_filter("zscale"):
        logging.getLogger("vqclip").warning(
            "this video is in %s, and this ffmpeg lacks the filter zscale: its colours will be pale",
            _HDR[found["trc"]],
        )
        return None
    named = {"space": "bt2020nc", "primaries": "bt2020"}
    space, primaries = (
        default if found.get(key, "unknown") == "unknown" else found[key] for key, default in named.items()
    )
    tags = f"setparams=color_primaries={primaries}:color_trc={found['trc']}:colorspace={space}"
    return f"{tags},{_TONE_MAP}"
