"""Images in the terminal: each protocol's characters say the image, and only a terminal that has it gets them."""

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqclip.cli.display import terminal_protocols as protocols
from vqclip.cli.display.terminal_images import half_blocks

pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")


@pytest.fixture
def image() -> Image.Image:
    """Noise, whose PNG takes several chunks."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))


def test_kitty(image: Image.Image) -> None:
    """Chunks of at most 4096 bytes of base64, all but the last a multiple of 4; keys only in the first."""
    found = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", written := protocols.kitty(image, 9, 4))
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in found) == written
    assert len(found) > 2
    keys = dict(pair.split("=") for pair in found[0][0].split(","))
    assert keys == {"a": "T", "f": "100", "q": "2", "c": "9", "r": "4", "m": "1"}
    assert [keys for keys, _ in found[1:]] == ["m=1"] * (len(found) - 2) + ["m=0"]
    assert all(len(data) == 4096 for _, data in found[:-1])
    data = base64.b64decode("".join(data for _, data in found))
    assert Image.open(io.BytesIO(data)).tobytes() == image.tobytes()


def test_a_small_image_is_one_chunk_for_kitty() -> None:
    assert protocols.kitty(Image.new("RGB", (2, 2)), 1, 1).startswith("\x1b_Ga=T,f=100,q=2,c=1,r=1,m=0;")


def test_iterm(image: Image.Image) -> None:
    found = re.fullmatch(r"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\x07", protocols.iterm(image, 9, 4))
    assert found
    keys, data = dict(pair.split("=") for pair in found[1].split(";")), base64.b64decode(found[2])
    assert keys == {
        "inline": "1", "size": str(len(data)), "width": "9", "height": "4", "preserveAspectRatio": "0"
    }  # fmt: skip
    assert Image.open(io.BytesIO(data)).tobytes() == image.tobytes()


def drawn(text: str) -> np.ndarray:
    """Draw sixels as a terminal does (h w 3), in percent; what no sixel sets stays -1."""
    found = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\', text)
    assert found
    width, height = int(found[1]), int(found[2])
    pixels = np.full((height, width, 3), -1)
    registers: dict[int, list[int]] = {}
    colour = left = top = 0
    for sign in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])", found[3]):
        if sign[1] and sign[2]:
            registers[int(sign[1])] = [int(sign[i]) for i in (2, 3, 4)]
        elif sign[1]:
            colour = int(sign[1])
        elif sign[8]:
            left, top = 0, top + 6 * (sign[8] == "-")
        else:
            count, bits = int(sign[5] or 1), ord(sign[6] or sign[7]) - 63
            for row in range(6):
                if bits >> row & 1:
                    pixels[top + row, left : left + count] = registers[colour]
            left += count
    return pixels


def test_sixel() -> None:
    """Few colours and flat areas come through within the percent in which sixels say a colour."""
    image = Image.new("RGB", (40, 36), (200, 30, 60))
    image.paste((0, 255, 10), (10, 5, 33, 20))
    found = drawn(protocols.sixel(image, (10, 12), 4, 3))
    assert found.shape == (36, 40, 3)
    assert np.abs(found - np.asarray(image) / 2.55).max() <= 1


def test_sixels_of_noise_fill_the_whole_area(image: Image.Image) -> None:
    found = drawn(protocols.sixel(image, (7, 13), 5, 3))
    assert found.shape == (36, 35, 3)
    assert found.min() >= 0


def test_half_blocks() -> None:
    image = Image.new("RGB", (2, 2), "red")
    image.putpixel((1, 1), (0, 0, 255))
    text = half_blocks(image, 2, 1)
    assert text.plain == "▀▀\n"
    assert [str(span.style) for span in text.spans] == [
        "rgb(255,0,0) on rgb(255,0,0)",
        "rgb(255,0,0) on rgb(0,0,255)",
    ]


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, protocols.KITTY),
        ({"TERM": "xterm-ghostty"}, protocols.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, protocols.ITERM),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, protocols.ITERM),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, protocols.ITERM),
        ({"TERM": "foot"}, protocols.SIXEL),
        ({"TERM": "xterm-sixel"}, protocols.SIXEL),
        ({"TERM": "tmux-256color", "TMUX": "1", "KITTY_WINDOW_ID": "1"}, protocols.BLOCKS),
        ({"TERM": "screen", "TERM_PROGRAM": "iTerm.app"}, protocols.BLOCKS),
        ({"TERM": "xterm-256color"}, protocols.BLOCKS),
        ({"TERM": "dumb"}, protocols.BLOCKS),
        ({}, protocols.BLOCKS),
    ],
)
def test_the_environment_tells_the_protocol(environment: dict[str, str], found: str) -> None:
    assert protocols.protocol_of(environment, has_true_colours=True) == found
    without = None if found == protocols.BLOCKS else found
    assert protocols.protocol_of(environment, has_true_colours=False) == without


def on_terminal(*words: object, **environment: str) -> str:
    """What a command writes to a terminal of its own, as stdout and stderr at once."""
    mine, theirs = pty.openpty()
    plain = {key: value for key, value in os.environ.items() if key not in ("TMUX", "NO_COLOR", "COLORTERM")}
    command = [sys.executable, "-m", "vqclip", *map(str, words)]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=plain | {"TERM": "xterm", **environment}
    )
    os.close(theirs)
    written = b""
    try:
        while data := os.read(mine, 65536):
            written += data
    except OSError:  # Linux says so when the last writer is gone
        pass
    os.close(mine)
    assert process.wait(60) == 0, written
    return written.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for colour in ("red", "green"):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", (20, 30), colour).save(tmp_path / "images" / f"{colour}.png")
    return tmp_path / "images"


def test_search_shows_images_on_a_terminal_that_can(folder: Path, tiny_clip: Path) -> None:
    words = ("search", folder, "a red apple", "--model", tiny_clip)
    written = on_terminal(*words, TERM="xterm-kitty")
    assert written.count("\x1b_Ga=T,") == 1
    assert "red.png" in "".join(written.split())  # a long path is wrapped anywhere
    for options, environment in (
        (["--no-thumbnails"], {"TERM": "xterm-kitty"}),
        (["--json"], {"TERM": "xterm-kitty"}),
        ([], {"TERM": "xterm"}),
    ):
        written = on_terminal(*words, *options, **environment)
        assert "\x1b_G" not in written
        assert "▀" not in written


def test_a_pipe_gets_no_images(folder: Path, tiny_clip: Path) -> None:
    words = ["search", str(folder), "a red apple", "--model", str(tiny_clip), "--thumbnails"]
    done = subprocess.run(
        [sys.executable, "-m", "vqclip", *words],
        capture_output=True, text=True, check=True, env=os.environ | {"TERM": "xterm-kitty"},
    )  # fmt: skip
    assert sorted(line.rpartition("/")[2] for line in done.stdout.splitlines()) == ["green.png", "red.png"]
    assert "\x1b" not in done.stdout


BAR = """
import sys
from rich.progress import Progress
from vqclip.cli.display.console import say, stderr
with Progress(console=stderr) as bar:
    bar.add_task("drawing", total=2)
    say("note", "of ours")
    print("of others", file=sys.stderr)
"""


def test_a_bar_on_a_terminal_lets_lines_through() -> None:
    """While rich draws it, a proxy takes sys.stderr's place, and must not be asked to write what it was given."""
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", BAR], stderr=theirs, env=os.environ | {"TERM": "xterm"}
    ) as bar:
        os.close(theirs)
        try:
            assert bar.wait(60) == 0
        finally:
            bar.kill()
        written = os.read(mine, 65536).decode()
    os.close(mine)
    assert written.count("of ours") == written.count("of others") == 1
    assert "drawing" in written
