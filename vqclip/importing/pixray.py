"""pixray's settings: all its arguments, with those of its drawers, losses and filters, each with its counterpart."""

from collections.abc import Mapping
from typing import Any

from vqclip.importing import pixray_losses as losses
from vqclip.importing import pixray_prompts as prompts
from vqclip.importing import pixray_values as v
from vqclip.importing.table import Argument, Program, folded, to, whole

_OWN_ALPHA = "the key `transparent` is a weight on another scale; the alpha channel has no curve of its own"
_NO_DISPLAY = "there is no display; the terminal shows the progress, and save_every keeps images"
_OWN_RATE = "the drawer's own recipe has the rates"
_FOLDER = (
    "images in a folder are no film; make a video of them with ffmpeg, then: vqclip restyle VIDEO PROMPT"
)
_NO_DIFFUSION = "there is no diffusion drawer"
_SLOW_STYLE = "the loss holds for the whole run; give losses.style.weight a schedule instead"

CORE = (
    Argument("drawer", "drawer.name", v.drawer),
    Argument("prompts", "prompts", prompts.prompts),
    Argument("spot_prompts", "prompts, with @ centre or @ [mask.png]", prompts.spot(inside=True)),
    Argument("spot_prompts_off", "prompts, with @ edges or @ not [mask.png]", prompts.spot(inside=False)),
    Argument("spot_file", "the mask of such a prompt", folded),
    Argument("labels", "prompts, as [label:NAME]", prompts.labels),
    Argument(
        "vector_prompts", "prompts, as [file.json]:0.1", prompts.vectors,
        "pixray adds its stored prompt textoff unasked; vqclip adds none", usual=("textoff",),
    ),
    Argument("image_prompts", "prompts, as [image.png]", prompts.image_prompts),
    Argument("image_prompt_weight", "the weights of these prompts", folded),
    Argument("image_prompt_shuffle", reason="all image prompts hold in every step"),
    Argument("image_labels", "prompts, as [image.png]", prompts.image_labels),
    Argument("image_label_weight", "the weights of these prompts", folded),
    Argument("iterations", "steps", lambda value, given: {"steps": whole(value, "iterations")}),
    Argument("save_every", "save_every", v.save_every),
    Argument("save_intermediates", "save_every", folded, "otherwise none is kept"),
    Argument("display_every", reason=_NO_DISPLAY),
    Argument("display_clear", reason=_NO_DISPLAY),
    Argument("overlay_image", "overlay.file", to("overlay.file", str)),
    Argument("overlay_every", "overlay.every", v.overlay_steps("every")),
    Argument("overlay_offset", "overlay.offset", v.overlay_steps("offset")),
    Argument("overlay_until", "overlay.until", v.overlay_steps("until")),
    Argument("overlay_alpha", "overlay.alpha", v.overlay_alpha),
    Argument("quality", "steps, size, cutouts.count, perceptors", folded),
    Argument("aspect", "size", folded),
    Argument("ezsize", "size", folded),
    Argument("scale", "size", folded),
    Argument("size", "size", folded),
    Argument("init_image", "init", to("init", str)),
    Argument("init_image_alpha", reason="pixray itself doesn't use it for a still", usual=(200,)),
    Argument("init_noise", "start.name", v.init_noise, usual=("pixels",)),
    Argument("target_images", "losses.near_images", v.target_images),
    Argument("animation_dir", reason=_FOLDER),
    Argument("animation_alpha", reason=_FOLDER, usual=(128,)),
    Argument("init_weight", "losses.near_start", v.near_start),
    Argument("init_weight_dist", "losses.near_start", v.near_start),
    Argument("init_weight_cos", "losses.near_start", v.near_start),
    Argument("init_weight_pix", "losses.near_init, with norm: l1", v.near_init),
    Argument("perceptors", "perceptors", v.perceptors),
    Argument("clip_models", "perceptors", v.clip_models),
    Argument("noise_prompt_seeds", "prompts, as [noise:7]", prompts.noise),
    Argument("noise_prompt_weights", "the weights of these prompts", folded),
    Argument("learning_rate", "optimizer.learning_rate", v.learning_rate),
    Argument("learning_rate_drops", "optimizer.drops", v.drops),
    Argument("auto_stop", "plateau.patience, plateau.drops", v.auto_stop),
    Argument("num_cuts", "cutouts.count", folded),
    Argument("batches", "cutouts.count", folded, "all crops are drawn in one step"),
    Argument("cut_pow", reason="pixray itself doesn't use it; cutouts.power prefers small crops", usual=(1,)),
    Argument("seed", "seed", to("seed", str)),
    Argument("optimiser", "optimizer.name", v.optimizer),
    Argument("make_video", "--video"),
    Argument("cudnn_determinism", reason="one seed gives one image on one device without it"),
    Argument("cuda_device", "--device", usual=("cuda:0",)),
    Argument("palette", "palette", v.palette),
    Argument("transparent", "transparent", v.transparent),
    Argument("transparent_weight", reason=_OWN_ALPHA, usual=(0,)),
    Argument("alpha_use_g", reason=_OWN_ALPHA),
    Argument("alpha_gamma", reason=_OWN_ALPHA, usual=(4,)),
    Argument("output", "--output", usual=("output.png",)),
    Argument("outdir", "--runs", usual=("outputs/%DATE%_%SEQ%",)),
    Argument("filters", "tile, palette.lock, filters", v.filters),
    Argument("custom_loss", "losses", losses.custom_loss, "--loss NAME:WEIGHT on the command line"),
    Argument("config_file", "--config"),
)  # fmt: skip

DRAWERS = (
    Argument("vqgan_model", "drawer.model", v.vqgan_model, part="vqgan"),
    Argument("vqgan_config", reason="the tensors say as much", part="vqgan"),
    Argument("vqgan_checkpoint", "drawer.model", to("drawer.model", str), part="vqgan"),
    *(
        argument
        for part in ("pixel", "fast_pixel")
        for argument in (
            Argument("pixel_size", "drawer.pixels", folded, part=part),
            Argument("pixel_scale", "drawer.pixels", folded, part=part),
        )
    ),
    Argument("pixel_type", "drawer.shape", v.pixel_type, part="pixel", usual=("rect",)),
    Argument("pixel_edge_check", reason="the grid always covers the image", part="pixel", usual=(True,)),
    Argument("pixel_iso_check", "drawer.pixels", folded, part="pixel"),
    Argument("strokes", "drawer.strokes", v.strokes, part="clipdraw"),
    Argument("min_stroke_width", reason="widths are optimised freely", part="clipdraw"),
    Argument("max_stroke_width", reason="widths are optimised freely", part="clipdraw"),
    Argument("strokes", "drawer.strokes", v.strokes, part="line_sketch"),
    Argument("stroke_length", reason="every stroke is one curve of four points", part="line_sketch"),
    Argument("min_stroke_width", reason="widths are optimised freely", part="line_sketch"),
    Argument("max_stroke_width", reason="widths are optimised freely", part="line_sketch"),
    Argument("allow_paper_color", reason="the ground's colour is always optimised", part="line_sketch"),
    Argument("fft_use", "drawer.name", v.fft_use, "there are no wavelets; fft and pixel are drawers", part="fft"),
    Argument("fft_decay", reason="amplitudes fall as 1/f, as photographs' do", part="fft", usual=(1.5,)),
    Argument("fft_wave", reason="there are no wavelets", part="fft", usual=("coif2",)),
    Argument("fft_sharp", reason="losses.detail sharpens", part="fft", usual=(0.3,)),
    Argument("fft_colors", reason="losses.saturation makes colours stronger", part="fft", usual=(1.5,)),
    Argument("fft_lrate", reason=_OWN_RATE, part="fft", usual=(0.3,)),
    Argument("super_resolution_model", reason="give a file, as upscale.model: FILE", part="super_resolution"),
    Argument("vdiff_model", reason=_NO_DIFFUSION, part="vdiff"),
    Argument("vdiff_schedule", reason=_NO_DIFFUSION, part="vdiff"),
    Argument("vdiff_skip", reason=_NO_DIFFUSION, part="vdiff"),
)  # fmt: skip

LOSSES = (
    Argument("palette_weight", "losses.palette.weight", folded, part="palette"),
    Argument("saturation_weight", "losses.saturation.weight", folded, part="saturation"),
    Argument("symmetry_weight", "losses.symmetry.weight", folded, part="symmetry"),
    Argument("smoothness_weight", "losses.tv.weight", folded, part="smoothness"),
    Argument("smoothness_type", "losses.tv.form", folded, part="smoothness"),
    Argument("smoothness_gaussian_kernel", reason="the image is not blurred first", part="smoothness", usual=(0,)),
    Argument("smoothness_gaussian_std", reason="the image is not blurred first", part="smoothness", usual=(1,)),
    Argument("smoothness_spacing", reason="neighbouring pixels are compared", part="smoothness", usual=(1,)),
    Argument("smoothness_edge_order", reason="neighbouring pixels are compared", part="smoothness", usual=(1,)),
    Argument("edge_thickness", "losses.edges.margin", losses.edge_thickness, part="edge"),
    Argument("edge_margins", "losses.edges.left, right, top, bottom", losses.edge_margins, part="edge"),
    Argument("edge_color", "losses.edges.colour", losses.edge_colour, part="edge"),
    Argument("edge_color_weight", "losses.edges.weight", folded, part="edge"),
    Argument("global_color_weight", reason="the loss holds for the border only", part="edge", usual=(0.05, 0)),
    Argument("edge_input_image", reason="the border gets one colour; overlay stamps an image", part="edge"),
    Argument("edge_mask_image", reason="the border is a frame; mask.file takes another shape", part="edge"),
    Argument("gaussian_weight", "losses.vignette.weight", folded, part="gaussian"),
    Argument("gaussian_std", "losses.vignette.size", folded, part="gaussian"),
    Argument("gaussian_color", "losses.vignette.colour", folded, part="gaussian"),
    Argument("aesthetic_target", "losses.head.target, with a head of yours", folded, part="aesthetic"),
    Argument("symmetry_weight", reason="there is no network that predicts memorability", part="resmem"),
    Argument("style_file", "losses.style.image, whose features are the CLIPs' own or a VGG's", folded, part="style"),
    Argument("styleloss_content_weight", reason="losses.structure keeps the init", part="style", usual=(32,)),
    Argument("styleloss_ospace", reason="see losses.style.distance", part="style", usual=("uniform",)),
    Argument("styleloss_skip", reason=_SLOW_STYLE, part="style"),
    Argument("styleloss_every", reason=_SLOW_STYLE, part="style", usual=(1,)),
)  # fmt: skip

FILTERS = (
    Argument("lookup_beta", reason="the palette needs no loss", part="lookup", usual=(10,)),
    Argument("wallpaper_type", "tile", v.wallpaper_type, part="wallpaper"),
    Argument("wallpaper_edge_match", reason="tile makes the sides meet by itself", part="wallpaper", usual=(0,)),
)  # fmt: skip


def _parts(settings: Mapping[str, Any]) -> set[str]:
    return {
        v.drawer_of(settings),
        *losses.names(settings.get("custom_loss")),
        *v.filter_names(settings.get("filters")),
    }


SPELLINGS = {
    "spot": "spot_prompts", "spot_off": "spot_prompts_off", "cut_power": "cut_pow", "video": "make_video",
    "deterministic": "cudnn_determinism", "losses": "custom_loss",
}  # fmt: skip
PROGRAM = Program("pixray", (*CORE, *DRAWERS, *LOSSES, *FILTERS), v.ground, _parts, SPELLINGS)
