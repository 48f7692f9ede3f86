"""pytti's settings: its keys, each with its counterpart."""

from typing import Any

from vqclip.base.errors import ConfigError, shorten
from vqclip.config import dotted, resolve
from vqclip.config.prompt import Kind
from vqclip.importing.models import VQGANS
from vqclip.importing.pytti_prompts import prompt, read_weight, split
from vqclip.importing.table import (
    Argument,
    Convert,
    Given,
    Program,
    folded,
    line,
    number,
    to,
    truth,
    whole,
)

CLIPS = {
    "ViTB32": "ViT-B-32/openai", "ViTB16": "ViT-B-16/openai", "ViTL14": "ViT-L-14/openai",
    "ViTL14_336px": "ViT-L-14-336/openai", "RN50": "RN50/openai", "RN101": "RN101/openai", "RN50x4": "RN50x4/openai",
    "RN50x16": "RN50x16/openai", "RN50x64": "RN50x64/openai",
}  # fmt: skip
BORDERS = {"clamp": "smear", "smear": "smear", "mirror": "reflect", "wrap": "wrap", "black": "grey"}
EDGES = {"mirror": "reflect", "wrap": "wrap", "black": "black", "smear": "reflect"}  # of frames that move


def ground(given: Given) -> dict[str, Any]:
    values = dotted.copied(resolve.read_preset("recipes/pytti"))
    is_vqgan = given.get("image_model") == "VQGAN"
    values["size"] = f"{_side(given, 'width', 180)}x{_side(given, 'height', 112)}"
    values["steps"] = whole(given.get("steps_per_scene", 100), "steps_per_scene")
    models = [ours for name, ours in CLIPS.items() if truth(given.get(name, name == "ViTB32"))]
    values["perceptors"] = [{"model": name} for name in models or [CLIPS["ViTB32"]]]
    values["drawer"] = {"name": "vqgan", "model": VQGANS["sflckr"]} if is_vqgan else _pixel(given)
    if not is_vqgan:
        values["start"] = {"name": "grey"}
        values["optimizer"] = {"learning_rate": "0.02"}
        values["film"] = {"learning_rate": "0.02"}
    return values


def _side(given: Given, name: str, default: int) -> int:
    """A side in pixels; pytti scales its pixels up by pixel_size."""
    side = whole(given.get(name, default), name)
    return max(1, default if side < 0 else side)


def _pixel(given: Given) -> dict[str, Any]:
    """Its other image models are grids of pixels: so many of the image's pixels to each."""
    size = max(1, whole(given.get("pixel_size", 4), "pixel_size"))
    sides = (_side(given, "width", 180), _side(given, "height", 112))
    return {"name": "pixel", "pixels": "x".join(str(max(1, side // size)) for side in sides)}


def _scenes(value: Any, given: Given) -> dict[str, Any]:
    before, after = given.get("scene_prefix", ""), given.get("scene_suffix", "")
    scenes = [f"{before}{scene.strip()}{after}" for scene in str(value).split("||") if scene.strip()]
    lines = [" | ".join(prompt(text, given) for text in split(scene, r"\|")) for scene in scenes]
    values: dict[str, Any] = {"prompts": [" ^ ".join(lines)]}
    if len(scenes) > 1 or _mode(given) != "off":
        values |= _film(len(scenes), given)
    return values


def _film(scenes: int, given: Given) -> dict[str, Any]:
    """A scene has so many frames as its steps hold those of a frame."""
    per_frame = max(1, whole(given.get("steps_per_frame", 50), "steps_per_frame"))
    per_scene = max(1, whole(given.get("steps_per_scene", 100), "steps_per_scene"))
    frames, fading = max(1, per_scene // per_frame), given.number("interpolation_steps", 0)
    before = whole(given.get("pre_animation_steps", 100), "pre_animation_steps")
    values: dict[str, Any] = {
        "steps": max(1, before or per_frame),
        "film.steps": per_frame,
        "story.frames": frames,
        "story.fresh": 0,
    }
    values["story.fade"] = min(1.0, round(fading / per_scene, 3))
    return values if scenes > 1 else values | {"film.frames": max(2, frames)}


def _mode(given: Given) -> str:
    mode = given.get("animation_mode", "off")
    return "off" if mode is False else str(mode)  # YAML 1.1 writes off without quotes


def _images(value: Any, given: Given) -> dict[str, Any]:
    found = []
    for text in split(str(value), r"\|"):
        body, weight, *_ = [*split(text, ":"), ""]
        found.append(line(Kind.IMAGE, body.strip("[] "), [read_weight(weight or "1", text, given)]))
    return {"prompts": found}


def _init_loss(name: str, **keys: Any) -> Convert:
    """Convert a weight of the distance from the init image, which may have a mask as prompts have."""

    def convert(value: Any, given: Given) -> dict[str, Any]:
        weight, mask, *_ = [*split(str(value), "_"), "", ""]
        if mask:
            given.note(f"the loss holds for the whole image, not for {shorten(mask)}")
        if not given.get("init_image"):
            return {}
        return {f"losses.{name}": {"weight": read_weight(weight or "1", str(value), given), **keys}}

    return convert


def _seed(value: Any, given: Given) -> dict[str, Any]:
    return {} if str(value).startswith("${") else {"seed": str(value)}


def _image_model(value: Any, given: Given) -> dict[str, Any]:
    if str(value).startswith("Lim"):
        given.note("its colours are optimised there; palette locks the image to colours that you name")
    return {}


def _vqgan(value: Any, given: Given) -> dict[str, Any]:
    if given.get("image_model") != "VQGAN":
        return {}
    if str(value) not in VQGANS:
        raise ConfigError(
            f"vqgan_model: there is no {shorten(value)}; pytti's are imagenet, coco, wikiart, sflckr"
        )
    return {"drawer.model": VQGANS[str(value)]}


def _learning_rate(value: Any, given: Given) -> dict[str, Any]:
    if given.get("image_model") != "VQGAN":
        given.note("it is that of pytti's own pixels; the drawer pixel gets 0.02")
        return {}
    return {"optimizer.learning_rate": str(value), "film.learning_rate": str(value)}


def _motion(key: str, change: Any = None) -> Convert:
    """Convert a plain number; what pytti computes from the time has no counterpart."""

    def convert(value: Any, given: Given) -> dict[str, Any]:
        if _mode(given) != "2D":
            return {}
        try:
            moved = float(value)
        except (TypeError, ValueError):
            given.note(
                f"{shorten(value)} is computed from the time; motion.{key} takes schedules over the frames"
            )
            return {}
        return {f"motion.{key}": f"{change(moved, given) if change else moved:g}"}

    return convert


def _zoom(pixels: float, given: Given) -> float:
    """pytti widens the frame by so many pixels."""
    return 1 + pixels / _side(given, "width", 180)


def _mode_note(value: Any, given: Given) -> dict[str, Any]:
    if _mode(given) == "3D":
        given.note("frames move in the plane: motion.zoom, turn, right, down")
    return {}


def _video(value: Any, given: Given) -> dict[str, Any]:
    if _mode(given) != "Video Source":
        return {}
    return {"source.video": str(value), "source.every": whole(given.get("frame_stride", 1), "frame_stride")}


def _palette(value: Any, given: Given) -> dict[str, Any]:
    lock = truth(given.get("lock_palette", False))
    return {"palette": {"colours": [f"[{value}]\\16"], "lock": lock}}


def _smoothing(value: Any, given: Given) -> dict[str, Any]:
    return {"losses.tv.weight": number(value, "smoothing_weight")}


_AUDIO = "no value follows a sound"
_3D = "frames move in the plane"
_COLOURS = "the drawer's colours are free; palette locks them"
_DISPLAY = "the terminal shows the progress"
_STABLE = "frames begin from the last one; losses.structure keeps a video's edges"


def _without(reason: str, *names: str, usual: tuple[Any, ...] = ()) -> list[Argument]:
    return [Argument(name, reason=reason, usual=usual) for name in names]


ARGUMENTS = (
    Argument("scenes", "prompts", _scenes),
    Argument("scene_prefix", "prompts", folded),
    Argument("scene_suffix", "prompts", folded),
    Argument("direct_image_prompts", "prompts, as [image.png]", _images),
    Argument("init_image", "init", to("init", str)),
    Argument("direct_init_weight", "losses.near_init", _init_loss("near_init", norm="l2")),
    Argument("semantic_init_weight", "losses.init_meaning", _init_loss("init_meaning")),
    Argument("image_model", "drawer.name", _image_model),
    Argument("vqgan_model", "drawer.model", _vqgan),
    Argument("animation_mode", "film", _mode_note),
    *(Argument(name, "size", folded) for name in ("width", "height")),
    Argument("steps_per_scene", "steps, story.frames", folded),
    Argument("steps_per_frame", "film.steps", folded),
    Argument("interpolation_steps", "story.fade", folded),
    Argument("learning_rate", "optimizer.learning_rate", _learning_rate),
    Argument("reset_lr_each_frame", reason="every frame begins with the same rate", usual=(True,)),
    Argument("seed", "seed", _seed),
    Argument("cutouts", "cutouts.count", lambda value, given: {"cutouts.count": whole(value, "cutouts")}),
    Argument("cut_pow", "cutouts.power", lambda value, given: {"cutouts.power": number(value, "cut_pow")}),
    Argument("cutout_border", "cutouts.beyond", to("cutouts.beyond")),
    Argument("border_mode", "cutouts.border", to("cutouts.border", lambda value: BORDERS.get(str(value), str(value)))),
    *_without(_3D, "field_of_view", usual=(60,)),
    *_without(_3D, "near_plane", usual=(1,)),
    *_without(_3D, "far_plane", usual=(10000,)),
    *_without(_3D, "translate_z_3d", "rotate_3d", usual=(0, "0", "[1, 0, 0, 0]", "[1,0,0,0]")),
    *_without(_3D, "lock_camera", usual=(True,)),
    *_without(_AUDIO, "input_audio", "input_audio_offset", "input_audio_filters"),
    Argument("translate_x", "motion.right", _motion("right"), usual=("0", 0)),
    Argument("translate_y", "motion.down", _motion("down"), usual=("0", 0)),
    Argument("rotate_2d", "motion.turn", _motion("turn"), usual=("0", 0)),
    Argument("zoom_x_2d", "motion.zoom", _motion("zoom", _zoom), usual=("0", 0)),
    Argument("zoom_y_2d", "motion.zoom", folded, "one zoom holds for both directions"),
    Argument("sampling_mode", reason="frames move bicubically", usual=("bicubic",)),
    Argument("infill_mode", "motion.border", to("motion.border", lambda value: EDGES.get(str(value), str(value)))),
    Argument("pre_animation_steps", "steps", folded),
    Argument("pixel_size", "drawer.pixels", folded),
    Argument("smoothing_weight", "losses.tv.weight", _smoothing),
    Argument("target_palette", "palette", _palette),
    Argument("lock_palette", "palette.lock", folded),
    *_without(_COLOURS, "random_initial_palette", "show_palette"),
    *_without(_COLOURS, "palette_size", usual=(5, 6)),
    *_without(_COLOURS, "palettes", usual=(9, 20)),
    *_without(_COLOURS, "gamma", usual=(1,)),
    *_without(_COLOURS, "hdr_weight", usual=(0.01,)),
    *_without(_COLOURS, "palette_normalization_weight", usual=(0.2,)),
    Argument("frames_per_second", "film.fps", to("film.fps")),
    *_without(_STABLE, "direct_stabilization_weight", "semantic_stabilization_weight", "depth_stabilization_weight"),
    *_without(_STABLE, "edge_stabilization_weight", "flow_stabilization_weight"),
    Argument("video_path", "source.video", _video),
    Argument("frame_stride", "source.every", folded),
    Argument("reencode_each_frame", reason="every frame's start is encoded", usual=(True,)),
    Argument("flow_long_term_samples", reason="source.flow follows one frame", usual=(1,)),
    *(Argument(name, "perceptors", folded) for name in CLIPS),
    *_without("CLIPs are named in perceptors", "use_mmc", "mmc_models"),
    Argument("file_namespace", "--runs", usual=("default",)),
    Argument("allow_overwrite", "--force"),
    *_without(_DISPLAY, "display_every", "clear_every", "display_scale", usual=(50, 1, 0, "${steps_per_frame}")),
    *_without(_DISPLAY, "show_graphs", "approximate_vram_usage", "use_tensorboard"),
    Argument("save_every", "save_every", lambda value, given: {} if str(value).startswith("$") else {
        "save_every": whole(value, "save_every")}),
    Argument("backups", reason="every run can be resumed: vqclip resume", usual=(0, 3)),
    Argument("models_parent_dir", reason="vqclip models where prints the folder", usual=("${user_cache:}",)),
    Argument("gradient_accumulation_steps", reason="crops pass in parts where memory is short", usual=(1,)),
    Argument("device", "--device", usual=(0,)),
    *_without("Hydra reads it", "defaults"),
)  # fmt: skip
PROGRAM = Program("pytti", ARGUMENTS, ground)
