"""Name the peers' models as the catalogue does."""

from pathlib import PurePosixPath

from vqclip.weights import catalog

_IMAGENET = "vqgan-imagenet-f16-16384"
VQGANS = {
    "imagenet_f16_1024": "vqgan-imagenet-f16-1024",
    "imagenet_f16_16384": _IMAGENET,
    "imagenet_f16_16384m": _IMAGENET,
    "imagenet": _IMAGENET,
    "imagenet_1024": "vqgan-imagenet-f16-1024",
    "imagenet_16384": _IMAGENET,
    "openimages_f16_8192": "vqgan-openimages-f8",
    "openimages": "vqgan-openimages-f8",
    "openimages_8192": "vqgan-openimages-f8",
    "coco": "vqgan-coco",
    "faceshq": "vqgan-faceshq",
    "wikiart_1024": "vqgan-wikiart-1024",
    "wikiart_1024m": "vqgan-wikiart-1024",
    "wikiart": "vqgan-wikiart-16384",
    "wikiart_16384": "vqgan-wikiart-16384",
    "wikiart_16384m": "vqgan-wikiart-16384",
    "wikiart_16384m2": "vqgan-wikiart-16384",
    "sflckr": "vqgan-sflckr",
    "sflickr": "vqgan-sflckr",
}


def clip_name(name: str) -> str | None:
    """Name one of OpenAI's CLIPs as the catalogue does, or None where it is none."""
    ours = name.replace("/", "-").replace("@", "-").removesuffix("px") + "/openai"
    return ours if ours in catalog.cards() else None


def vqgan_file(path: str) -> str:
    """Name the VQGAN that a file's name says, or return the path itself."""
    stem = PurePosixPath(path).stem.removeprefix("vqgan_")
    return VQGANS.get(stem, path)
