"""Tell what kind of transformer a checkpoint of taming's holds, from the yaml beside it and its tensors' shapes."""

import logging
import re
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from vqclip.base.errors import UsageError, WeightsError
from vqclip.models.transformer import orders
from vqclip.models.transformer.architecture import CONDITIONINGS, TransformerArchitecture
from vqclip.models.vqgan_configs import Loader, find_description
from vqclip.weights.transformer_state_dicts import Tensors, from_net2net, has_condition_map

log = logging.getLogger(__name__)

_STAGES = {"Labelator": "class", "CoordStage": "coordinates", "SOSProvider": "none"}
_IMAGENET = (48, 1536)  # layers and width of the one that was trained on ImageNet's classes
IMAGENET_CLASSES = 1000


def read_net2net(
    weights: Path, tensors: Mapping[str, Tensor], codes: int, vqgan: str, stated: Mapping[str, Any]
) -> tuple[TransformerArchitecture, Tensors]:
    """Architecture and tensors, in our layout, of a transformer over `codes` of a VQGAN; raises WeightsError.

    `stated` is what the user says about it: its `heads` and its `conditioning`.
    """
    own, order, unmasked = from_net2net(tensors)
    facts = {**_shapes(own), **_described(weights), **stated}
    layers, width = facts["layers"], facts["width"]
    conditioning = facts.setdefault("conditioning", _guessed(tensors, facts, codes))
    if "heads" not in facts:
        facts["heads"] = 24 if (layers, width) == _IMAGENET else 16
        log.warning(
            "%s doesn't say how many heads its transformer has; %d are taken: lay its .yaml beside it, or add "
            "--architecture heads=NUMBER", weights, facts["heads"],
        )  # fmt: skip
    halves = 2 if conditioning in ("coordinates", "map") else 1
    cells = len(order) if order is not None else facts["block"] // halves
    side = isqrt(cells)
    if side * side != cells:
        raise WeightsError(f"{weights}: its transformer reads {cells} codes, which are no square of cells")
    name = "row" if order is None else orders.name_of(order, side, side)
    if name == "file" and order is not None:
        own["order"] = order.long()
    if conditioning == "class":
        facts.setdefault("classes", IMAGENET_CLASSES)
    try:
        return TransformerArchitecture(
            **facts,
            codes=min(codes, facts["outputs"]),
            rows=side,
            columns=side,
            order=name,
            unmasked=unmasked,
            vqgan=vqgan,
        ), own
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{weights} holds no transformer that can be: {error}") from None


def _shapes(own: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the tensors' shapes tell; raises WeightsError, naming what is missing."""
    layers = {match[1] for key in own if (match := re.match(r"blocks\.(\d+)\.", key))}
    try:
        vocabulary, width = own["tok_emb.weight"].shape
        return {
            "layers": len(layers), "width": width, "hidden": own["blocks.0.mlp.0.weight"].shape[0],
            "vocabulary": vocabulary, "outputs": own["head.weight"].shape[0], "block": own["pos_emb"].shape[1],
        }  # fmt: skip
    except KeyError as error:
        raise WeightsError(f"its transformer lacks {error.args[0]}; fetch the file again") from None


def _guessed(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], codes: int) -> str:
    """What a transformer without a description is conditioned on, as far as its shapes tell."""
    if has_condition_map(tensors):
        return "map"
    if (facts["layers"], facts["width"]) == _IMAGENET:
        return "class"
    block = facts["block"]
    is_doubled = _is_square(block // 2) and not _is_square(block)
    return "coordinates" if is_doubled and facts["vocabulary"] == codes else "none"


def _is_square(number: int) -> bool:
    return isqrt(number) ** 2 == number


def _described(weights: Path) -> dict[str, Any]:
    """What the yaml beside a checkpoint says about its transformer; empty if there is none that says so."""
    beside = find_description(weights)
    if beside is None or beside.suffix == ".json":
        return {}
    try:
        params = yaml.load(beside.read_text(encoding="utf-8"), Loader)["model"]["params"]
        facts: dict[str, Any] = {"heads": int(params["transformer_config"]["params"]["n_head"])}
        stage = params["cond_stage_config"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return {}
    if params.get("unconditional") is True or stage == "__is_unconditional__":
        return facts | {"conditioning": "none", "start": int(params.get("sos_token", 0))}
    if not isinstance(stage, Mapping):
        return facts | {"conditioning": "map"}
    kind = _STAGES.get(str(stage.get("target", "")).rpartition(".")[2], "map")
    classes = (stage.get("params") or {}).get("n_classes") if kind == "class" else None
    return facts | {"conditioning": kind} | ({"classes": int(classes)} if classes else {})


def parse_stated(text: str) -> tuple[dict[str, Any], str]:
    """Split what the user says about a file into what concerns its transformer and the rest; raises UsageError."""
    stated: dict[str, Any] = {}
    rest = []
    for part in filter(None, text.split(",")):
        key, _, word = part.strip().partition("=")
        if key == "heads" and word.isdecimal() and 0 < int(word) < 1024:
            stated[key] = int(word)
        elif key == "conditioning" and word in CONDITIONINGS:
            stated[key] = word
        elif key in ("heads", "conditioning"):
            kinds = ", ".join(CONDITIONINGS)
            raise UsageError(
                f"--architecture {part!r}: heads takes a number, and conditioning one of {kinds}"
            )
        else:
            rest.append(part)
    return stated, ",".join(rest)
