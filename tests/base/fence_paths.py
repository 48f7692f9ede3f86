"""The starts, ways and films that the fake GPU is tried with, and the files that they name in capitals."""

from collections.abc import Callable
from pathlib import Path

import torch
from conftest import write_clip
from PIL import Image
from safetensors.torch import save_file
from tiny_transformers import random_transformer, write_transformer

from vqclip.media.image import save_png
from vqclip.media.video_writer import VideoWriter

STARTS: dict[str, list[str]] = {
    "noise": ["--set", "start=noise"],
    "codes": ["--set", "start=codes"],
    "gradient": ["--set", "start=gradient"],
    "grey": ["--set", "start=grey"],
    "ascent": ["--set", "start={name: ascent, steps: 2}"],
    "transformer": ["--set", "start={name: transformer, model: NETWORK, candidates: 2}"],
    "transformer, windows": [
        "--set", "start={name: transformer, model: NETWORK, enlarge: windows}", "--steps", "0",
    ],
    "transformer that completes an image": [
        "--set", "start={name: transformer, model: NETWORK, candidates: 2}",
        "--init", "PICTURE", "--extend", "right=4", "--size", "8x8",
    ],
    "transformer that completes an image and draws no more": [
        "--set", "start={name: transformer, model: NETWORK}",
        "--init", "PICTURE", "--mask", "PICTURE", "--steps", "0", "--size", "16x16",
    ],
    "transformer that reads texts": [
        "--set", "start={name: transformer, model: READER, top_p: 0.9}", "--steps", "0", "--size", "8x8",
    ],
    "prior": ["--set", "start={name: prior, model: NETWORK, candidates: 2}"],
    "init": ["--init", "PICTURE"],
    "image prompt": ["--image-prompt", "PICTURE"],
    "noise prompt": ["--set", "prompts=[noise:7, a red apple:-0.5]"],
}  # fmt: skip

WAYS: dict[str, list[str]] = {
    "tile": ["--tile"],
    "two stages": [
        "--steps", "6", "--set", "latent.stages=[{scale: 0.5, share: 1}, {scale: 1, share: 1}]",
    ],
    "two perceptors": [
        "--set", "perceptors=[{model: EYE}, {model: OTHER, crops: 3}]", "--set", "cutouts.noise=0.1",
    ],
    "every chance of crops": [
        "--set", "cutouts={count: 5, jitter: 1, noise: 0.1, erase: 0.5, border: grey, warp: 1, flip: 0.5}",
    ],
    "wrapped crops": ["--set", "cutouts.border=wrap"],
    "regions": ["--set", "prompts=[a red apple @ left, an owl @ not 0,0,.5,.5]"],
    "a mask": ["--init", "PICTURE", "--mask", "PICTURE"],
    "losses": ["--set", "losses={tv: 1, near_start: 1, near_zero: 1, saturation: 1}"],
    "losses by name": [
        "--set",
        "losses={symmetry: {axis: both}, edges: 1, vignette: 1, contrast: 1, detail: 1, tv: {weight: 1, form: log}, "
        "palette: {colours: [red, blue]}}",
    ],
    "losses that compare images": [
        "--init", "PICTURE",
        "--set", "losses={near_init: 1, init_meaning: 1, near_images: {targets: [PICTURE, STAMP]}}",
    ],
    "the structure of an init": ["--init", "PICTURE", "--loss", "structure"],
    "a style": ["--set", "losses.style={image: PICTURE}"],
    "a style that a VGG sees": ["--set", "losses.style={image: PICTURE, network: VGG, distance: sliced}"],
    "heads": ["--set", "losses.head={file: HEAD, target: 5}"],
    "a palette": ["--palette", "pico8"],
    "filters": ["--filter", "wallpaper:p6m", "--filter", "tile", "--filter", "wrap", "--filter", "rotate:3"],
    "filters that look colours up": ["--filter", "clut:HALD", "--filter", "lookup:pico8"],
    "transparent": ["--transparent", "--set", "losses={tv: 1, near_start: 1}"],
    "transparent tile": ["--transparent", "--tile"],
    "overlay": ["--set", "overlay={file: STAMP, every: 1, alpha: 0.5}"],
    "enlarged": ["--upscale", "2"],
    "enlarged by a network": ["--set", "upscale={factor: 2, model: DOUBLE}"],
    "drops of the rate": ["--set", "optimizer.drops=[1i]", "--set", "plateau={patience: 1, drops: 1}"],
    "fp32": ["--set", "precision=float32"],
    "tf32": ["--set", "precision=tf32"],
    "fp16": ["--set", "precision=float16"],
    "fp16 beside a drawer in fp32": ["--set", "precision=float16", "--drawer", "fft"],
    "larger than a cell": ["--size", "17x15"],
    "fft": ["--drawer", "fft"],
    "lines": ["--drawer", "lines", "--set", "drawer={name: lines, strokes: 2, fills: 1}"],
    "pixel": ["--drawer", "pixel"],
    "hexagons": ["--drawer", "pixel", "--set", "drawer={name: pixel, shape: hex, pixels: 6x4}"],
    "pyramid": ["--drawer", "pyramid", "--tile"],
    "several at once": ["--count", "3", "--batch-size", "3"],
    "several, ranked": ["--count", "2", "--best", "1", "--judge", "EYE"],
}  # fmt: skip

FILMS: dict[str, list[str]] = {
    "story": ["story", "a ^ b", "--frames", "2", "--fade", "0.5"],
    "looped story": ["story", "a ^ b", "--frames", "2", "--loop", "--set", "film={overlap: 2, window: 3}"],
    "zoom": ["zoom", "a", "--frames", "2", "--zoom", "1.1", "--turn", "3"],
    "zoom that paints what comes in": ["zoom", "a", "--frames", "2", "--zoom", "0.8", "--border", "paint"],
    "pan": ["zoom", "a", "--frames", "2", "--right", "3", "--border", "wrap", "--set", "start=codes"],
    "zoom of lines": [
        "zoom", "a", "--frames", "2", "--zoom", "1.1", "--set", "drawer={name: lines, strokes: 2, fills: 1}",
    ],
    "zoom of a pyramid": ["zoom", "a", "--frames", "2", "--zoom", "1.1", "--set", "drawer=pyramid"],
    "pan of pixels": [
        "zoom", "a", "--frames", "2", "--right", "3", "--border", "wrap", "--set", "drawer=pixel",
    ],
    "restyle": ["restyle", "VIDEO", "a", "--pull-to-source", "0.5", "--loss", "structure"],
    "restyle along the flow": ["restyle", "VIDEO", "a", "--flow", "--size", "20x16"],
}  # fmt: skip


def write_picture(path: Path) -> None:
    save_png(Image.new("RGB", (20, 12), "teal"), path, {})


def write_stamp(path: Path) -> None:
    """An image that is transparent in part."""
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 16))
    image.save(path)


def write_hald(path: Path) -> None:
    """A CLUT of level 2."""
    Image.effect_noise((8, 8), 90).convert("RGB").save(path)


def write_vgg(path: Path) -> None:
    """Two blocks of convolutions, with a pooling in between."""
    sides = {0: (8, 3), 3: (12, 8)}
    weights = {f"features.{k}.weight": torch.randn(*side, 3, 3) for k, side in sides.items()}
    save_file(weights | {f"features.{k}.bias": torch.randn(side[0]) for k, side in sides.items()}, path)


def write_head(path: Path) -> None:
    """A head on the embeddings of the tiny CLIPs."""
    save_file({"weight": torch.randn(1, 16), "bias": torch.randn(1)}, path)


def write_double(path: Path) -> None:
    """An upscaler's weights; the test puts a loader in spandrel's place."""
    save_file({"a": torch.zeros(1)}, path)


def write_video(path: Path) -> None:
    """Two frames."""
    with VideoWriter(path, 20, 16, 10, {}, "clip") as video:
        for colour in ("teal", "tan"):
            video.write(Image.new("RGB", (20, 16), colour))


def write_eye(path: Path) -> None:
    path.mkdir()
    write_clip(path, seed=0)


def write_other(path: Path) -> None:
    """A CLIP that looks at larger crops."""
    path.mkdir()
    write_clip(path, seed=1, image_size=24)


# A word in a command: the name of the file that takes its place, and what writes it.
FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "PICTURE": ("given.png", write_picture),
    "STAMP": ("stamp.png", write_stamp),
    "HALD": ("hald.png", write_hald),
    "VGG": ("vgg.safetensors", write_vgg),
    "HEAD": ("head.safetensors", write_head),
    "DOUBLE": ("double.safetensors", write_double),
    "VIDEO": ("clip.mp4", write_video),
    "EYE": ("eye", write_eye),
    "OTHER": ("other", write_other),
}


def write_network(kind: str, path: Path, vqgan: Path) -> str:
    return str(write_transformer(path, random_transformer(kind, vqgan=str(vqgan))))


def with_files(words: list[str], folder: Path, vqgan: Path) -> list[str]:
    """The words of a command with files, which are written, in the place of names."""
    given = words
    for name, (file, write) in FILES.items():
        if any(name in word for word in given):
            write(folder / file)
            given = [word.replace(name, str(folder / file)) for word in given]
    for name, kind in (("NETWORK", "coordinates"), ("READER", "bart")):
        if any(name in word for word in given):
            network = write_network(kind, folder / f"{kind}.safetensors", vqgan)
            given = [word.replace(name, network) for word in given]
    return given
