"""The plain loop: decode, crop, embed, compare, one backward pass through all of it, nudge."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.plain.crops import Crops
from benchmarks.plain.decoder import Painter
from vqclip.models.clip import find_clip

CPU = torch.device("cpu")

Look = Callable[[Tensor], Tensor]  # a picture (1 3 h w) -> views (n 3 s s)


class ReplaceGrad(torch.autograd.Function):
    """The first tensor's value, the second one's gradient."""

    @staticmethod
    def forward(ctx: Any, forward: Tensor, backward: Tensor) -> Tensor:
        ctx.shape = backward.shape
        return forward

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, grads[0].sum_to_size(ctx.shape)


class ClampWithGrad(torch.autograd.Function):
    """To [0, 1]; stops gradients that lead further out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grads[0] * (grads[0] * (x - x.clamp(0, 1)) >= 0)


class Eye:
    """A frozen CLIP, and a prompt as it reads it."""

    def __init__(
        self, name: str, prompt: str, device: torch.device = CPU, dtype: torch.dtype = torch.float32
    ):
        """`name` is a CLIP's as vqclip takes it."""
        source = find_clip(name)
        model = open_clip.create_model(
            source.architecture, str(source.weights) if source.weights else None, require_pretrained=True
        )
        self.model, self.dtype = model.eval().requires_grad_(False).to(device, dtype), dtype
        preprocess = self.model.visual.preprocess_cfg
        self.mean, self.std = (
            torch.tensor(preprocess[key], device=device).view(1, 3, 1, 1) for key in ("mean", "std")
        )
        side = self.model.visual.image_size
        self.size = side if isinstance(side, int) else side[0]
        with torch.no_grad():
            tokens = open_clip.get_tokenizer(source.architecture)([prompt])
            self.wish = self.model.encode_text(tokens.to(device)).float()

    def loss(self, views: Tensor) -> Tensor:
        """The spherical distance of views (n 3 s s) and prompt, halved and squared, over all views."""
        pixels = ((views - self.mean) / self.std).to(self.dtype)
        seen = F.normalize(self.model.encode_image(pixels).float(), dim=-1)
        chord = (seen - F.normalize(self.wish, dim=-1)).norm(dim=-1)
        return chord.div(2).arcsin().square().mul(2).mean()


class Loop:
    """One latent, the eyes that judge its picture, and Adam between them."""

    def __init__(
        self,
        vqgan: str,
        clips: Sequence[str],
        prompt: str,
        size: tuple[int, int],
        crops: int = 32,
        rate: float = 0.1,
        seed: int = 0,
        device: torch.device = CPU,
        dtype: torch.dtype = torch.float32,
    ):
        """`size` is width and height, `rate` Adam's, in the latent's own unit, `dtype` CLIP's."""
        torch.manual_seed(seed)
        self.painter = Painter(vqgan).to(device)
        self.eyes = [Eye(name, prompt, device, dtype) for name in clips]
        self.looks: list[Look] = [Crops(eye.size, crops) for eye in self.eyes]
        codebook, (width, height) = self.painter.codebook, size
        self.low, self.high = (bound.view(1, -1, 1, 1) for bound in (codebook.amin(0), codebook.amax(0)))
        codes = torch.randint(
            len(codebook), (height // self.painter.factor * (width // self.painter.factor),)
        ).to(device)
        rows = F.one_hot(codes, len(codebook)).float() @ codebook
        z = rows.view(1, height // self.painter.factor, width // self.painter.factor, -1).movedim(3, 1)
        self.z = z.contiguous().requires_grad_()
        self.optimizer = torch.optim.Adam([self.z], lr=rate)

    def draw(self) -> Tensor:
        """The picture (1 3 h w) in [0, 1] of the latent."""
        codes = quantize(self.z.movedim(1, 3), self.painter.codebook).movedim(3, 1)
        return ClampWithGrad.apply((self.painter(codes) + 1) / 2)

    def losses(self) -> list[Tensor]:
        image = self.draw()
        return [eye.loss(look(image)) for eye, look in zip(self.eyes, self.looks, strict=True)]

    def steps(self) -> Iterator[list[float]]:
        """Nudge for ever; every step's losses."""
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            losses = self.losses()
            torch.autograd.backward(torch.stack(losses).sum())
            self.optimizer.step()
            with torch.no_grad():
                self.z.copy_(self.z.maximum(self.low).minimum(self.high))
            yield [loss.item() for loss in losses]

    @torch.no_grad()
    def image(self) -> Image.Image:
        """Decode once more, to save."""
        pixels = (self.draw()[0].permute(1, 2, 0) * 255).round().byte()
        return Image.fromarray(pixels.cpu().numpy())


def quantize(x: Tensor, codebook: Tensor) -> Tensor:
    """Each cell's nearest code, cells (1 y x d), by a table of all distances and a product with one-hot rows."""
    distances = x.square().sum(-1, keepdim=True) + codebook.square().sum(1) - 2 * x @ codebook.T
    return ReplaceGrad.apply(F.one_hot(distances.argmin(-1), len(codebook)).to(x) @ codebook, x)
