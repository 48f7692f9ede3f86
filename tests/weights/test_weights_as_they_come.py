"""Files of weights as training scripts leave them: each loads as the network that it is, or is refused in one line."""

import argparse
import json
import warnings
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import TINY, TINY_CLIP, Tiny, Vqclip, describe, random_vqgan
from omegaconf import OmegaConf
from test_foreign import WIDE, to_llamagen
from torch import Tensor

from vqclip.base.device import pick as pick_device
from vqclip.base.errors import UsageError, WeightsError
from vqclip.models.clip import load_clip
from vqclip.models.vqgan import VQGAN, Architecture
from vqclip.models.vqgan_loading import load_vqgan, read_vqgan
from vqclip.pipeline.pipeline import Pipeline
from vqclip.requirements import install


def assert_paints_as(path: Path, model: VQGAN) -> None:
    loaded = load_vqgan(str(path))
    z = torch.randn(1, model.architecture.embed_dim, 4, 4)
    torch.testing.assert_close(loaded.codebook, model.codebook)
    torch.testing.assert_close(loaded.decode(z), model.decode(z))
    images = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(loaded.encode(images), model.encode(images))


def refusal(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises((WeightsError, UsageError)) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestClips:
    """OpenAI's archives, LAION's weights, open_clip's training checkpoints."""

    @pytest.fixture
    def nano(self, monkeypatch: pytest.MonkeyPatch) -> None:
        configs = {"nano": TINY_CLIP, "nano-quickgelu": TINY_CLIP | {"quick_gelu": True}}
        configs |= open_clip.factory._MODEL_CONFIGS
        monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", configs)

    @staticmethod
    def clip(quick: bool) -> Any:
        torch.manual_seed(0)
        model = open_clip.CLIP(**json.loads(json.dumps(TINY_CLIP)), quick_gelu=quick).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return model

    @staticmethod
    def assert_sees_as(name: str, model: Any) -> None:
        loaded, tokenizer = load_clip(name)
        with torch.no_grad():
            images, tokens = torch.randn(2, 3, 16, 16), tokenizer(["a red apple"])
            torch.testing.assert_close(
                loaded.encode_image(images), model.encode_image(images), atol=1e-4, rtol=1e-3
            )
            torch.testing.assert_close(
                loaded.encode_text(tokens), model.encode_text(tokens), atol=1e-4, rtol=1e-3
            )

    def archive(self, path: Path, script: bool) -> Any:
        """OpenAI's CLIP: fp16, with three numbers of its architecture, as TorchScript or as a state dict."""
        model = self.clip(quick=True)
        weights = {key: value.half() for key, value in model.state_dict().items() if key != "attn_mask"}
        model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
        numbers = {"input_resolution": 16, "context_length": 12, "vocab_size": 49408}
        if not script:
            torch.save(weights | {key: torch.tensor(n) for key, n in numbers.items()}, path)
            return model
        half = self.clip(quick=True)
        half.load_state_dict(model.state_dict())
        for key, number in numbers.items():
            if hasattr(half, key):
                delattr(half, key)
            half.register_buffer(key, torch.tensor(number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels, tokens = torch.randn(1, 3, 16, 16).half(), torch.zeros(1, 12, dtype=torch.long)
            half.half()
            torch.jit.save(torch.jit.trace(half, (pixels, tokens), check_trace=False), path)
        return model

    @pytest.mark.parametrize("script", [True, False], ids=["TorchScript", "state dict"])
    @pytest.mark.parametrize("architecture", ["nano", "nano-quickgelu"])
    def test_openais_own_see_with_quickgelu(
        self, tmp_path: Path, nano: None, script: bool, architecture: str
    ) -> None:
        """Whatever the architecture's name says: the file says it better."""
        path = tmp_path / "clip.pt"
        model = self.archive(path, script)
        self.assert_sees_as(f"{architecture}@{path}", model)
        record = install.import_file(path, "eye", architecture)
        assert record.origin["activation"] == "quickgelu"
        self.assert_sees_as("eye", model)

    @pytest.mark.parametrize("quick", [True, False])
    @pytest.mark.parametrize("kind", ["bare", "training", "old format"])
    def test_others_see_as_the_architectures_name_says(
        self, tmp_path: Path, nano: None, quick: bool, kind: str
    ) -> None:
        """LAION's weights, and what open_clip's own training writes, also distributed and compiled."""
        model, path = self.clip(quick), tmp_path / "clip.pt"
        weights: dict[str, Any] = model.state_dict()
        if kind == "training":
            weights = {f"module._orig_mod.{key}": value for key, value in weights.items()}
            weights = {"epoch": 3, "name": "run", "state_dict": weights, "optimizer": {"state": {}}}
        torch.save(weights, path, _use_new_zipfile_serialization=kind != "old format")
        architecture = "nano-quickgelu" if quick else "nano"
        self.assert_sees_as(f"{architecture}@{path}", model)
        record = install.import_file(path, "eye", architecture)
        assert record.origin["activation"] == ("quickgelu" if quick else "gelu")
        self.assert_sees_as("eye", model)

    def test_the_activation_is_asked_for_by_name(self, tmp_path: Path, vqclip: Vqclip, nano: None) -> None:
        torch.save(self.clip(quick=False).state_dict(), tmp_path / "clip.pt")
        line = refusal(install.import_file, tmp_path / "clip.pt")
        assert "--architecture ViT-B-32 for weights of LAION's" in line
        done = vqclip("models", "import", str(tmp_path / "clip.pt"), "--architecture", "nano")
        assert done.code == 0
        assert "activation" in done.err

    def test_siglips_pictures_are_normalised_as_its_weights_all_were(self) -> None:
        from vqclip.weights.clip_state_dicts import normalisation  # noqa: PLC0415

        assert normalisation("ViT-B-16-SigLIP")["mean"] == (0.5, 0.5, 0.5)
        assert normalisation("ViT-B-32")["mean"] == pytest.approx((0.48145466, 0.4578275, 0.40821073))
        assert normalisation("nano-that-nobody-published")["std"] == pytest.approx(
            (0.26862954, 0.26130258, 0.27577711)
        )


PREFIXES = [
    "_orig_mod.", "model.", "module.", "first_stage_model.", "module.first_stage_model.", "model.module._orig_mod.",
    "_orig_mod.module.", "vqvae.", "generator.vq_model.", "_fsdp_wrapped_module.",
]  # fmt: skip


class TestVqgans:
    """First stages, wrappers, moving averages, whole modules, other channels, tangents, LlamaGen's codes."""

    def test_the_first_stage_of_a_latent_diffusion_model(self, tmp_path: Path) -> None:
        model = random_vqgan(WIDE)
        tensors: dict[str, Any] = {f"first_stage_model.{key}": v for key, v in model.state_dict().items()}
        others = (
            "model.diffusion_model.input_blocks.0.0.weight", "betas", "alphas_cumprod", "logvar", "scale_factor",
            "model_ema.decay", "model_ema.diffusion_modelinput_blocks00weight", "model_ema.num_updates",
            "cond_stage_model.transformer.text_model.embeddings.position_ids", "cond_stage_model.visual.proj",
            "first_stage_model.loss.discriminator.main.0.weight",
        )  # fmt: skip
        tensors |= {key: torch.ones(3) for key in others}
        torch.save({"state_dict": tensors, "pytorch-lightning_version": "1.4"}, tmp_path / "model.ckpt")
        assert_paints_as(tmp_path / "model.ckpt", model)
        assert install.import_file(tmp_path / "model.ckpt", "mine").family == "vqgan"

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_prefixes_of_what_trained_it(self, tmp_path: Path, prefix: str) -> None:
        model = random_vqgan(WIDE)
        torch.save({prefix + key: value for key, value in model.state_dict().items()}, tmp_path / "a.ckpt")
        assert_paints_as(tmp_path / "a.ckpt", model)

    def test_parts_that_were_compiled_by_themselves(self, tmp_path: Path) -> None:
        model = random_vqgan(WIDE)
        spelt = {
            key.replace("decoder.", "decoder._orig_mod.module.", 1).replace(
                "_orig_mod.module", "_orig_mod"
            ): v
            for key, v in model.state_dict().items()
        }
        torch.save(spelt, tmp_path / "a.ckpt")
        assert_paints_as(tmp_path / "a.ckpt", model)

    @pytest.mark.parametrize("kind", ["taming", "d k", "lucidrains", "square"])
    def test_codes_that_are_moving_averages(self, tmp_path: Path, kind: str) -> None:
        n_embed = WIDE.embed_dim if kind == "square" else WIDE.n_embed
        model = random_vqgan(replace(WIDE, n_embed=n_embed))
        tensors = dict(model.state_dict())
        counts = torch.ones(n_embed)
        if kind == "taming":
            tensors |= {
                "quantize.embedding.cluster_size": counts,
                "quantize.embedding.embed_avg": model.codebook,
            }
        else:
            codes = tensors.pop("quantize.embedding.weight")
            inner = "quantize._codebook." if kind == "lucidrains" else "quantize."
            codes = codes[None] if kind == "lucidrains" else codes.T
            tensors |= {f"{inner}embed": codes, f"{inner}cluster_size": counts, f"{inner}embed_avg": codes}
            if kind == "lucidrains":
                tensors |= {f"{inner}initted": torch.tensor([True]), f"{inner}cluster_size": counts[None]}
        torch.save({"state_dict": tensors}, tmp_path / "a.ckpt")
        assert_paints_as(tmp_path / "a.ckpt", model)

    @pytest.mark.parametrize("zip_", [True, False])
    def test_a_whole_module(self, tmp_path: Path, zip_: bool) -> None:
        model = random_vqgan(WIDE)
        torch.save(model, tmp_path / "a.pt", _use_new_zipfile_serialization=zip_)
        assert_paints_as(tmp_path / "a.pt", model)

    @pytest.mark.parametrize("channels", [1, 182])
    def test_other_channels_than_three_are_refused_at_import(self, tmp_path: Path, channels: int) -> None:
        model = random_vqgan(replace(WIDE, in_channels=channels, out_ch=channels))
        torch.save({"state_dict": model.state_dict()}, tmp_path / "a.ckpt")
        line = refusal(install.import_file, tmp_path / "a.ckpt")
        assert f"images with {channels} channels" in line
        assert "is a VQGAN of" in refusal(load_vqgan, str(tmp_path / "a.ckpt"))

    def test_a_kl_autoencoder_is_named(self, tmp_path: Path) -> None:
        tensors = dict(random_vqgan(WIDE).state_dict())
        del tensors["quantize.embedding.weight"]
        tensors["quant_conv.weight"] = torch.ones(10, 12, 1, 1)
        torch.save({f"first_stage_model.{key}": value for key, value in tensors.items()}, tmp_path / "a.ckpt")
        assert "is a KL autoencoder" in refusal(load_vqgan, str(tmp_path / "a.ckpt"))

    def test_tanh_out_is_painted(self, tmp_path: Path) -> None:
        """taming's decoder: `if self.tanh_out: h = torch.tanh(h)`, after its last convolution."""
        plain = random_vqgan(TINY)
        for value in plain.decoder.conv_out.parameters():
            value.mul_(9)
        torch.save({"state_dict": plain.state_dict()}, tmp_path / "a.ckpt")
        description = describe(TINY)
        description["model"]["params"]["ddconfig"]["tanh_out"] = True
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(description))
        z = torch.randn(1, TINY.embed_dim, 4, 4)
        expected = torch.tanh(plain.decode(z))
        assert (expected - plain.decode(z)).abs().max() > 0.1
        torch.testing.assert_close(load_vqgan(str(tmp_path / "a.ckpt")).decode(z), expected)
        install.import_file(tmp_path / "a.ckpt", "mine")
        torch.testing.assert_close(load_vqgan("mine").decode(z), expected)

    def test_what_no_file_tells_is_said_in_one_option(self, tmp_path: Path) -> None:
        model = random_vqgan(TINY)
        torch.save({"state_dict": model.state_dict()}, tmp_path / "a.ckpt")
        assert "groups to normalise" in refusal(install.import_file, tmp_path / "a.ckpt")
        install.import_file(tmp_path / "a.ckpt", "mine", "norm_groups=4,tanh_out=true")
        z = torch.randn(1, TINY.embed_dim, 4, 4)
        torch.testing.assert_close(load_vqgan("mine").decode(z), torch.tanh(model.decode(z)))

    @pytest.mark.parametrize("text", ["ViT-B-32", "tanh_out=2", "norm_groups=true", "a=b", "norm_groups=-1"])
    def test_other_words_in_it_are_refused(self, tmp_path: Path, text: str) -> None:
        torch.save(random_vqgan(WIDE).state_dict(), tmp_path / "a.ckpt")
        assert "of a VQGAN it takes" in refusal(install.import_file, tmp_path / "a.ckpt", "x", text)

    @pytest.mark.parametrize("unit", [True, False])
    @pytest.mark.parametrize("told_by", ["args", "option"])
    def test_llamagens_codes_as_they_were_trained(self, tmp_path: Path, unit: bool, told_by: str) -> None:
        """LlamaGen's quantiser: the nearest code, of cells and codes at length 1 or as they are."""
        model = random_vqgan(WIDE)
        raw = model.codebook * torch.linspace(0.3, 3, WIDE.n_embed)[:, None]
        tensors = {to_llamagen(key, 2): value for key, value in model.state_dict().items()}
        content: dict[str, Any] = {"model": tensors | {"quantize.embedding.weight": raw}}
        if told_by == "args":
            content["args"] = argparse.Namespace(codebook_l2_norm=unit, cloud_save_path=Path("x"))
        torch.save(content, tmp_path / "vq.pt")
        told = "" if told_by == "args" else f"codebook_l2_norm={str(unit).lower()}"
        install.import_file(tmp_path / "vq.pt", "mine", told)
        loaded, cells = load_vqgan("mine"), torch.randn(1, 5, 6, 6)
        codes, points = raw, cells.permute(0, 2, 3, 1)
        if unit:
            codes, points = F.normalize(codes, dim=-1), F.normalize(points, dim=-1)
        chosen = (points[..., None, :] - codes).square().sum(-1).argmin(-1)
        assert torch.equal(loaded.codes(cells), chosen)
        torch.testing.assert_close(loaded.lookup(chosen), codes[chosen].permute(0, 3, 1, 2))


class TestDescriptions:
    """What the tensors say is right, and what a yaml says beside it need not be whole."""

    def write(self, folder: Path, text: str, architecture: Architecture = TINY) -> Path:
        torch.save({"state_dict": random_vqgan(architecture).state_dict()}, folder / "a.ckpt")
        (folder / "a.yaml").write_text(text)
        return folder / "a.ckpt"

    def test_references_are_followed(self, tmp_path: Path) -> None:
        """As OmegaConf resolves them."""
        content = describe(TINY)
        content["shared"] = {"z": TINY.z_channels, "net": {"ch": "${width}"}}
        content["width"] = TINY.ch
        params = content["model"]["params"]
        params["ddconfig"] |= {
            "z_channels": "${shared.z}",
            "ch": "${shared.net.ch}",
            "dropout": "${oc.env:X}",
        }
        params["lossconfig"] = {"target": "x", "params": {"disc_start": "${nowhere.at.all}"}}
        resolved = OmegaConf.create(content)
        assert resolved.model.params.ddconfig.ch == TINY.ch
        path = self.write(tmp_path, OmegaConf.to_yaml(resolved, resolve=False))
        assert load_vqgan(str(path)).architecture == TINY

    def test_a_reference_to_itself_ends(self, tmp_path: Path) -> None:
        content = describe(TINY)
        content["a"] = "${b}"
        content["b"] = "${a}"
        content["model"]["params"]["ddconfig"]["ch"] = "${a}"
        path = self.write(tmp_path, yaml.safe_dump(content))
        assert load_vqgan(str(path)).architecture == TINY

    def test_tuples_are_lists(self, tmp_path: Path) -> None:
        content = describe(TINY)
        content["model"]["params"]["ddconfig"]["ch_mult"] = tuple(TINY.ch_mult)
        text = yaml.dump(content)  # with Python's own tags
        assert "!!python/tuple" in text
        assert load_vqgan(str(self.write(tmp_path, text))).architecture == TINY

    def test_other_python_objects_are_refused(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "model: !!python/object/apply:os.system ['touch hacked']")
        assert "doesn't describe a VQGAN" in refusal(load_vqgan, str(path))

    def test_what_is_wrong_or_missing_is_told_by_the_tensors(self, tmp_path: Path) -> None:
        content = describe(TINY)
        content["model"]["target"] = "taming.models.vqgan.GumbelVQ"
        params = content["model"]["params"]
        params["n_embed"] = 99
        del params["embed_dim"], params["ddconfig"]["z_channels"]
        params["ddconfig"]["attn_resolutions"] = [TINY.resolution]
        loaded = load_vqgan(str(self.write(tmp_path, yaml.safe_dump(content))))
        assert replace(loaded.architecture, resolution=TINY.resolution, attn_resolutions=()) == TINY
        assert not loaded.architecture.attends(0)


def decoder_alone(path: Path) -> Path:
    """As min-dalle publishes it."""
    tensors: dict[str, Tensor] = {
        key.replace("quantize.", ""): value
        for key, value in random_vqgan(WIDE).state_dict().items()
        if key.startswith(("decoder.", "post_quant_conv.", "quantize."))
    }
    torch.save(OrderedDict(tensors), path)
    return path


class TestDecoderAlone:
    """It begins from codes; whoever asks for a picture to begin from is told so before anything is painted."""

    @pytest.mark.parametrize("start", ["sketch", "noise", "gradient"])
    def test_a_start_that_is_a_picture_is_refused_by_its_name(
        self, tmp_path: Path, tiny: Tiny, start: str
    ) -> None:
        config = tiny(vqgan=str(decoder_alone(tmp_path / "d.pt")), start=start)
        line = refusal(Pipeline, config, pick_device("cpu"))
        assert f"start '{start}' is one; add --set start=codes" in line
        assert "init" not in line

    def test_an_init_is_to_be_left_out(self, tmp_path: Path, tiny: Tiny) -> None:
        from PIL import Image  # noqa: PLC0415

        Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
        config = tiny(
            vqgan=str(decoder_alone(tmp_path / "d.pt")), start="codes", init=str(tmp_path / "a.png")
        )
        assert "leave init out; add --set start=codes" in refusal(Pipeline, config, pick_device("cpu"))

    def test_codes_are_painted(self, tmp_path: Path, tiny: Tiny) -> None:
        config = tiny(vqgan=str(decoder_alone(tmp_path / "d.pt")), start="codes")
        pipeline = Pipeline(config, pick_device("cpu"))
        frame = next(iter(pipeline.film))
        state = pipeline.begin(frame, pipeline.objective(frame), 1)
        assert state.latent.z.shape[1] == WIDE.embed_dim


def test_a_file_is_read_as_a_decoder_only_if_nothing_of_an_encoder_is_there(tmp_path: Path) -> None:
    architecture, _ = read_vqgan(decoder_alone(tmp_path / "d.pt"))
    assert not architecture.encoder
