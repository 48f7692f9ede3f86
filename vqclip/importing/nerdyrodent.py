"""nerdyrodent's command line: its arguments, each with its counterpart, and how the line is taken apart."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from vqclip.base.errors import ConfigError, shorten
from vqclip.config import dotted, resolve
from vqclip.config.prompt import Kind
from vqclip.config.schema import OPTIMIZERS
from vqclip.importing.models import VQGANS, clip_name, vqgan_file
from vqclip.importing.table import (
    Argument,
    Given,
    Program,
    folded,
    line,
    number,
    peeled,
    to,
    truth,
    whole,
    words,
)

SCRIPT = "generate.py"
# What each augmentation sets in our cutouts; without it in the list, these are off.
AUGMENTS = {
    "Ji": ("jitter",), "Pe": ("perspective",), "Ro": ("rotate",), "Af": ("rotate", "shear", "shift"), "Er": ("erase",),
    "Gn": (),  # the noise is added whatever is in the list
}  # fmt: skip
CUT_METHODS = ("original", "updated", "nrupdated", "updatedpooling", "latest")


def ground(given: Given) -> dict[str, Any]:
    method = str(given.get("cut_method", "latest"))
    if method not in CUT_METHODS:
        raise ConfigError(f"cut_method: {shorten(method)} is none of {', '.join(CUT_METHODS)}")
    values = dotted.copied(resolve.read_preset(f"recipes/nerdyrodent+cutouts/{method}"))
    values["size"] = "512x512"
    values["cutouts"]["count"] = 32
    values["drawer"] = {"name": "vqgan", "model": VQGANS["imagenet_f16_16384"]}
    values["perceptors"] = [{"model": "ViT-B-32/openai"}]
    return values


def _prompts(value: Any, given: Given) -> dict[str, Any]:
    """Scenes stay scenes where the prompt changes; otherwise only the first is used, as there."""
    scenes = words(value, "^")
    if len(scenes) > 1 and not _every(given):
        given.note("without -cpe only the first scene is used, as there")
        scenes = scenes[:1]
    lines = [" | ".join(line(Kind.TEXT, *peeled(text)) for text in words(scene)) for scene in scenes]
    return {"prompts": [" ^ ".join(lines)] if lines else []}


def _image_prompts(value: Any, given: Given) -> dict[str, Any]:
    return {"prompts": [line(Kind.IMAGE, *peeled(file)) for file in words(value)]}


def _noise(value: Any, given: Given) -> dict[str, Any]:
    seeds, weights = words(value, " "), words(given.get("noise_prompt_weights", []), " ")
    pairs = zip(seeds, weights + ["1"] * len(seeds), strict=False)
    return {"prompts": [line(Kind.NOISE, seed, [number(w, "noise_prompt_weights")]) for seed, w in pairs]}


def _size(value: Any, given: Given) -> dict[str, Any]:
    sides = words(value, " ")
    return {"size": "x".join(str(whole(side, "size")) for side in (sides * 2)[:2])}


def _steps(value: Any, given: Given) -> dict[str, Any]:
    """A film's steps lie in its frames; before the first, it has those until the zoom starts."""
    steps = whole(value, "iterations")
    per_frame = _per_frame(given)
    if not per_frame:
        return {"steps": steps}
    start = whole(given.get("zoom_start", 0), "zoom_start")
    frames = max(2, (steps - start) // per_frame)
    return {"steps": max(start, per_frame), "film.frames": frames, "film.steps": per_frame}


def _per_frame(given: Given) -> int:
    """Steps between two frames of a film, or 0 for a still."""
    if truth(given.get("zoom_video", False)) or _every(given):
        return max(1, whole(given.get("zoom_save_every", 10), "zoom_save_every"))
    return 0


def _every(given: Given) -> int:
    return whole(given.get("change_prompt_every", 0), "change_prompt_every")


def _story(value: Any, given: Given) -> dict[str, Any]:
    frames = max(1, _every(given) // _per_frame(given)) if _every(given) else 0
    return {"story.frames": frames, "story.fade": 0, "story.after": "repeat"} if frames else {}


def _zoom(value: Any, given: Given) -> dict[str, Any]:
    scale = given.number("zoom_scale", 0.99)
    moves = {
        key: str(given.get(name, 0)) for key, name in (("right", "zoom_shift_x"), ("down", "zoom_shift_y"))
    }
    border = "black" if scale < 1 else "wrap"
    return {"motion": {"zoom": str(scale), **moves, "border": border}, "film.fps": _rate(given)}


def _rate(given: Given) -> float:
    """Frames a second, within the bounds that the program sets."""
    frames = whole(given.get("iterations", 500), "iterations") / max(1, _per_frame(given))
    return min(60.0, max(10.0, round(frames / max(0.1, given.number("video_length", 10)), 2)))


def _learning_rate(value: Any, given: Given) -> dict[str, Any]:
    rate = str(number(value, "learning_rate"))
    return {"optimizer.learning_rate": rate, "film.learning_rate": rate}


def _start(value: Any, given: Given) -> dict[str, Any]:
    name = {"pixels": "noise", "gradient": "gradient"}.get(str(value))
    return {"start": {"name": name}} if name else {}


def _clip(value: Any, given: Given) -> dict[str, Any]:
    if (name := clip_name(str(value))) is None:
        given.note(f"there is no CLIP {shorten(value)}; ViT-B-32/openai stands in for it")
    return {"perceptors": ({"model": name or "ViT-B-32/openai"},)}


def _optimizer(value: Any, given: Given) -> dict[str, Any]:
    name = str(value).lower()
    if name not in OPTIMIZERS:
        given.note(f"there is no optimiser {value}; adam stands in for it")
    return {"optimizer.name": name if name in OPTIMIZERS else "adam"}


def _augments(value: Any, given: Given) -> dict[str, Any]:
    """Turn off what is not in the list; only two of the methods read it."""
    chosen = words(value, " ")
    if str(given.get("cut_method", "latest")) not in ("latest", "nrupdated"):
        return {}
    if without := [name for name in chosen if name not in AUGMENTS]:
        given.note(f"crops have no counterpart of {', '.join(without)}")
    kept = {key for name in chosen for key in AUGMENTS.get(name, ())}
    every = {key for keys in AUGMENTS.values() for key in keys}
    return {f"cutouts.{key}": 0 for key in sorted(every - kept)}


_SHARPENED = "vqclip restyle VIDEO PROMPT takes the video itself"
ARGUMENTS = (
    Argument("prompts", "prompts", _prompts, flags=("-p", "--prompts")),
    Argument("image_prompts", "prompts, as [image.png]", _image_prompts, flags=("-ip", "--image_prompts")),
    Argument("iterations", "steps, film.frames", _steps, flags=("-i", "--iterations")),
    Argument("save_every", "save_every", lambda value, given: {"save_every": whole(value, "save_every")},
             flags=("-se", "--save_every")),
    Argument("size", "size", _size, flags=("-s", "--size")),
    Argument("init_image", "init", to("init", str), flags=("-ii", "--init_image")),
    Argument("init_noise", "start.name", _start, flags=("-in", "--init_noise")),
    Argument("init_weight", "losses.near_zero.weight",
             lambda value, given: {"losses.near_zero.weight": number(value, "init_weight")},
             flags=("-iw", "--init_weight"), usual=(0, "0", "0.0", "0.")),
    Argument("clip_model", "perceptors", _clip, flags=("-m", "--clip_model")),
    Argument("vqgan_config", reason="the .yaml beside the checkpoint is read, or the tensors say as much",
             flags=("-conf", "--vqgan_config")),
    Argument("vqgan_checkpoint", "drawer.model", to("drawer.model", lambda path: vqgan_file(str(path))),
             flags=("-ckpt", "--vqgan_checkpoint")),
    Argument("noise_prompt_seeds", "prompts, as [noise:7]", _noise, flags=("-nps", "--noise_prompt_seeds")),
    Argument("noise_prompt_weights", "the weights of these prompts", folded, flags=("-npw", "--noise_prompt_weights")),
    Argument("learning_rate", "optimizer.learning_rate", _learning_rate, flags=("-lr", "--learning_rate")),
    Argument("cut_method", "cutouts", folded, flags=("-cutm", "--cut_method")),
    Argument("num_cuts", "cutouts.count", lambda value, given: {"cutouts.count": whole(value, "num_cuts")},
             flags=("-cuts", "--num_cuts")),
    Argument("cut_power", "cutouts.power", lambda value, given: {"cutouts.power": number(value, "cut_power")},
             flags=("-cutp", "--cut_power")),
    Argument("seed", "seed", to("seed", str), flags=("-sd", "--seed")),
    Argument("optimiser", "optimizer.name", _optimizer, flags=("-opt", "--optimiser")),
    Argument("output", "--output", flags=("-o", "--output"), usual=("output.png",)),
    Argument("video", "--video", flags=("-vid", "--video"), takes_value=False),
    Argument("zoom_video", "film, motion", _zoom, flags=("-zvid", "--zoom_video"), takes_value=False),
    Argument("zoom_start", "steps", folded, flags=("-zs", "--zoom_start")),
    Argument("zoom_save_every", "film.steps", folded, flags=("-zse", "--zoom_save_every")),
    Argument("zoom_scale", "motion.zoom", folded, flags=("-zsc", "--zoom_scale")),
    Argument("zoom_shift_x", "motion.right", folded, flags=("-zsx", "--zoom_shift_x")),
    Argument("zoom_shift_y", "motion.down", folded, flags=("-zsy", "--zoom_shift_y")),
    Argument("change_prompt_every", "story.frames", _story, flags=("-cpe", "--change_prompt_every"), usual=("0",)),
    Argument("video_length", "film.fps, or --video-seconds", folded, flags=("-vl", "--video_length")),
    Argument("output_video_fps", "--interpolate of vqclip film", flags=("-ofps", "--output_video_fps"), usual=("0",)),
    Argument("input_video_fps", "--fps of vqclip film", flags=("-ifps", "--input_video_fps")),
    Argument("deterministic", reason="one seed gives one image on one device without it",
             flags=("-d", "--deterministic"), takes_value=False),
    Argument("augments", "cutouts", _augments, flags=("-aug", "--augments")),
    Argument("video_style_dir", reason=_SHARPENED, flags=("-vsd", "--video_style_dir")),
    Argument("cuda_device", "--device", flags=("-cd", "--cuda_device"), usual=("cuda:0",)),
)  # fmt: skip
PROGRAM = Program("nerdyrodent", ARGUMENTS, ground)


def settings(text: str) -> Mapping[str, Any]:
    """Take a command line apart; raises ConfigError where there is none, more than one, or one that isn't whole."""
    joined = re.sub(r"\\\r?\n", " ", text)
    commands = [row for row in joined.splitlines() if SCRIPT in row and not row.lstrip().startswith("#")]
    if len(commands) != 1:
        raise ConfigError(
            f"there are {len(commands)} command lines of {SCRIPT}; give one, as in: python {SCRIPT} -p owl"
        )
    try:
        given = shlex.split(commands[0])
    except ValueError as error:
        raise ConfigError(f"this command line isn't whole: {error}; check its quotes") from None
    start = next((i for i, word in enumerate(given) if word.endswith(SCRIPT)), len(given))
    return _parsed(given[start + 1 :])


def _parsed(given: list[str]) -> dict[str, Any]:
    """Collect each flag's values: one as it is, several as a list."""
    known = {flag: argument for argument in ARGUMENTS for flag in argument.flags}
    found: dict[str, Any] = {}
    name = ""
    for word in given:
        flag, equals, value = word.partition("=")
        if flag in known or (re.match(r"--?[a-zA-Z]", word)):
            name = known[flag].name if flag in known else flag
            found[name] = value if equals else [] if flag not in known or known[flag].takes_value else True
        elif not name or found[name] is True:
            raise ConfigError(f"{shorten(word)} follows no argument; put texts of several words in quotes")
        elif isinstance(found[name], list):
            found[name].append(word)
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in found.items()
    }
