"""CLIPs of open_clip, by whatever name they have.

mini-clip-2            a name of the catalogue
ViT-B-32/openai        open_clip's architecture and pretrained tag
ViT-B-32@weights.pt    open_clip's architecture and a file of weights
hf-hub:org/repo        a repository on the Hugging Face hub
some/folder            a folder with open_clip_config.json and weights
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
import torch
from huggingface_hub import constants as hub
from huggingface_hub import list_repo_files, snapshot_download, try_to_load_from_cache
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

from vqclip.base.errors import WeightsError, suggest
from vqclip.base.paths import expand
from vqclip.models.clip_speedups import speed_up_tower
from vqclip.models.folding import fold_batch_norms
from vqclip.models.kernels import CPU, kernels_for
from vqclip.models.vqgan_loading import SkipInit
from vqclip.weights import catalog
from vqclip.weights.checkpoint import read_tensors
from vqclip.weights.clip_folder import CONFIG, clip_folder, image_tower, largest_file
from vqclip.weights.clip_state_dicts import Tensors, bare_clip, is_openais, normalisation

LOCAL, HUB = "local-dir:", "hf-hub:"
MERGES = "bpe_simple_vocab.txt.gz"  # as open_clip spells them, of a vocabulary of one's own
_WEIGHTS = (
    HF_SAFE_WEIGHTS_NAME, "open_clip_pytorch_model.safetensors", HF_WEIGHTS_NAME,
    "model.safetensors", "pytorch_model.bin",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where open_clip finds a model: its name for the architecture, and the weights unless the name implies them."""

    architecture: str
    weights: Path | None = None
    preprocess: tuple[tuple[str, Any], ...] = ()
    quick_gelu: bool = False
    image: Path | None = None  # an image tower that takes the place of its own


def load_clip(name: str, pull: bool = False, device: torch.device = CPU) -> tuple[Any, Any]:
    """An open_clip model in eval mode, frozen, and its tokenizer; raises WeightsError.

    Its image tower is ready for a device; all of it lies on the CPU. Only with `pull` may anything be downloaded.
    """
    source = find_clip(name, pull)
    try:
        with _quiet(), _network(pull), SkipInit():
            model = _build(source)
            tokenizer = _tokenizer(source)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from None
    except Exception as error:  # open_clip passes on whatever torch, json or the hub raise
        raise WeightsError(
            f"{name}: open_clip can't load it ({' '.join(str(error).split())[:200]})"
        ) from None
    return _ready(model, device), tokenizer


def _with_tower(model: Any, file: Path) -> Any:
    """Load an image tower alone, whose tensors have open_clip's names, in place of the model's own."""
    model.visual.load_state_dict({k.removeprefix("visual."): v for k, v in read_tensors(file).items()})
    return model


def _tokenizer(source: Source) -> Any:
    """open_clip's tokenizer, with the merges that lie beside a folder's weights, if there are any."""
    merges = Path(source.architecture.removeprefix(LOCAL)) / MERGES
    own = {"bpe_path": str(merges)} if source.architecture.startswith(LOCAL) and merges.is_file() else {}
    return open_clip.get_tokenizer(source.architecture, **own)


def _build(source: Source) -> Any:
    """An open_clip model with its weights: those of a folder by open_clip, those of a file by our own reader.

    open_clip reads neither TorchScript, as which OpenAI publishes its CLIPs, nor objects of classes beside the tensors.
    """
    if source.image is not None:
        return _with_tower(_build(replace(source, image=None)), source.image)
    if source.weights is None or source.weights.suffix in (".npz", ".npy"):  # those are Google's own SigLIPs
        return open_clip.create_model(
            source.architecture, str(source.weights or "") or None,
            force_preprocess_cfg=dict(source.preprocess), require_pretrained=True,
        )  # fmt: skip
    tensors = read_tensors(source.weights)
    model = open_clip.create_model(
        source.architecture,
        load_weights=False,
        force_quick_gelu=source.quick_gelu or is_openais(tensors),
        force_preprocess_cfg=dict(source.preprocess),
        pretrained_text=False,
    )
    _fill(model, bare_clip(tensors))
    return model


def _fill(model: Any, tensors: Tensors) -> None:
    """Load tensors in any spelling and image size that open_clip itself reads."""
    state = convert_state_dict(model, tensors)
    if "positional_embedding" in state and not hasattr(model, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)
    state.pop("text.transformer.embeddings.position_ids", None)  # 0, 1, 2, …: older versions saved them
    for key, value in (("logit_scale", model.logit_scale), ("logit_bias", model.logit_bias)):
        if value is not None:  # of one number, with an axis or without; CLIPs made into SigLIPs lack the bias
            state[key] = state[key].reshape(value.shape) if key in state else torch.zeros_like(value)
    resize_pos_embed(state, model)
    resize_text_pos_embed(state, model)
    model.load_state_dict(state)


def skeleton(name: str, device: torch.device = CPU) -> Any:
    """The same model, as it is for a device, on the meta device: shapes and no weights, for counting."""
    with _quiet(), torch.device("meta"):
        model = open_clip.create_model(find_clip(name).architecture, load_weights=False, device="meta")
        return _ready(model, device)


def image_size(visual: Any) -> int:
    """The side of the square images that an image tower takes."""
    side = visual.image_size
    return int(side if isinstance(side, int) else side[0])


def _ready(model: Any, device: torch.device) -> Any:
    """In eval mode, frozen, without the work that only training needs, as is fastest on a device."""
    model.eval().requires_grad_(False)
    side, kernels = image_size(model.visual), kernels_for(device)
    here = next(model.visual.parameters()).device
    fold_batch_norms(model.visual, torch.zeros(1, 3, side, side, device=here))
    speed_up_tower(model.visual, kernels)
    model.visual.to(memory_format=kernels.layout)
    return model


def find_clip(name: str, pull: bool = False) -> Source:
    """What a name means and where its weights lie; raises WeightsError if it is unknown or not here."""
    if (folder := clip_folder(name)) is not None:
        return Source(LOCAL + str(folder), image=image_tower(name))
    if name.startswith(HUB):
        return Source(LOCAL + _snapshot(name, pull))
    architecture, at, file = name.partition("@")
    if at:
        return _from_file(name, architecture, expand(file))
    settings = pretrained(name)
    if not settings:
        raise WeightsError(_unknown(name))
    return _from_tag(name, name.rpartition("/")[0], settings, pull)


def pretrained(name: str) -> dict[str, Any]:
    """What open_clip knows of a MODEL/TAG; empty if it knows none of that name."""
    architecture, _, tag = name.rpartition("/")
    return dict(open_clip.get_pretrained_cfg(architecture, tag)) if architecture else {}


def weights_file(name: str) -> Path:
    """The file of weights behind a name, in a folder the largest; raises WeightsError."""
    source = find_clip(name)
    folder = Path(source.architecture.removeprefix(LOCAL))
    file = source.image or source.weights or largest_file(folder)
    if file is None:
        raise WeightsError(f"{name}: {folder} is empty")
    return file


def _from_file(name: str, architecture: str, file: Path) -> Source:
    if architecture not in open_clip.list_models():
        hint = suggest(architecture, open_clip.list_models())
        raise WeightsError(f"{name}: open_clip knows no architecture {architecture!r}{hint}")
    if not os.path.isfile(file):
        raise WeightsError(f"{name}: there is no file {file}")
    return Source(architecture, file, tuple(normalisation(architecture).items()))


def _from_tag(name: str, architecture: str, settings: dict[str, Any], pull: bool) -> Source:
    weights = _download(name, architecture, settings) if pull else _cached(settings)
    if weights is None:
        raise WeightsError(f"{name}: its weights aren't on this machine; {_way_to(name)}")
    preprocess = tuple((key, settings[key]) for key in ("mean", "std", "interpolation") if key in settings)
    return Source(architecture, Path(weights), preprocess, bool(settings.get("quick_gelu")))


def _way_to(name: str) -> str:
    return f"add --pull, or type: vqclip models pull {name}"


def _download(name: str, architecture: str, settings: dict[str, Any]) -> str:
    """Fetch a tag's weights, and its tokenizer where that is the hub's, into the hub's cache."""
    try:
        weights = str(open_clip.download_pretrained(settings))
        open_clip.get_tokenizer(architecture)
    except Exception as error:  # the hub raises its own, requests' and OS errors alike
        raise WeightsError(f"{name}: not to be had ({' '.join(str(error).split())[:120]})") from None
    return weights


def _cached(settings: dict[str, Any]) -> str | None:
    """The path of a tag's weights if an earlier download left them here."""
    repository, _, file = settings.get("hf_hub", "").rpartition("/")
    for candidate in (file,) if file else (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME):
        found = try_to_load_from_cache(repository, candidate) if repository else None
        if isinstance(found, str):
            return found
    direct = expand("~/.cache/clip") / Path(settings.get("url", "")).name
    return str(direct) if direct.is_file() else None


def _snapshot(name: str, pull: bool) -> str:
    """The folder of a hub repository; raises WeightsError if it isn't here and may not be fetched."""
    repository = name.removeprefix(HUB)
    try:
        weights = _best_weights(list_repo_files(repository)) if pull else "*"
        files = [weights, "*.json", "*.txt", "*.model"]
        folder = Path(snapshot_download(repository, allow_patterns=files, local_files_only=not pull))
    except Exception as error:  # the hub raises its own, requests' and OS errors alike
        hint = "" if pull else f"; {_way_to(name)}"
        raise WeightsError(f"{name}: not to be had ({' '.join(str(error).split())[:120]}){hint}") from None
    if not pull and not (folder / CONFIG).is_file():
        raise WeightsError(f"{name}: it is here, but not yet in open_clip's layout; {_way_to(name)}")
    return str(folder)


def _best_weights(files: Sequence[str]) -> str:
    """The one of a repository's files of weights that open_clip would take."""
    return next((file for file in _WEIGHTS if file in files), HF_SAFE_WEIGHTS_NAME)


def _unknown(name: str) -> str:
    known = [*catalog.names("clip"), *(f"{model}/{tag}" for model, tag in open_clip.list_pretrained())]
    ways = "a name of the catalogue, open_clip's MODEL/TAG, MODEL@FILE, hf-hub:ORG/REPO or a folder"
    return f"there is no CLIP {name!r}{suggest(name, known) or f'; write {ways}'}"


@contextmanager
def _network(allowed: bool) -> Iterator[None]:
    """Keep the hub's library, which looks for news of files that are here, off the network unless that is allowed."""
    before = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = before or not allowed
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what open_clip logs on the root logger, errors aside: what matters is raised.

    A filter of its own, not the logger's level: two threads that load at once would restore each other's level.
    """
    root = logging.getLogger()

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    root.addFilter(is_error)
    try:
        yield
    finally:
        root.removeFilter(is_error)
