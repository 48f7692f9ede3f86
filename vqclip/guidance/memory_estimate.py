"""How much memory a painting will take, counted on networks without weights.

The networks are built on torch's meta device, where tensors have shapes and no storage; one forward pass there
tells which tensors autograd would keep for the backward pass. That is the bulk of what painting needs.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vqclip.base.device import strengths
from vqclip.config.schema import Config
from vqclip.config.timeline import Frame, latent_shape
from vqclip.guidance.memory import SMALL, MemoryBudget
from vqclip.models.clip import image_size, skeleton
from vqclip.models.folding import freeze
from vqclip.models.kernels import CPU
from vqclip.models.vqgan import VQGAN, ResnetBlock
from vqclip.models.vqgan_loading import architecture_of

# Interpreter, torch and the other libraries once they are loaded and warm: measured, as is the workspace that
# convolutions need on top of what autograd keeps.
RESIDENT = 900 * 2**20
WORKSPACE = 1.25
# The same for small pictures: the heap keeps the pages of their tensors, and has holes.
HOLED_WORKSPACE = 2.4
# Tensors as large as the picture, in fp32: itself, before and after it is clamped, gradients, differences in penalties.
PICTURES = 8


@dataclass(frozen=True)
class Estimate:
    """Bytes, by cause. What the decoder keeps waits for its way back while one perceptor after the other looks."""

    weights: int
    image: int
    decoder: int
    perceptors: Sequence[int]
    workspace: float  # a factor

    @property
    def total(self) -> int:
        return int(
            RESIDENT + self.weights + self.image + self.workspace * (self.decoder + max(self.perceptors))
        )


def estimate(
    config: Config, frame: Frame, dtype: torch.dtype, budget: MemoryBudget, images: int = 1,
    device: torch.device = CPU,
) -> Estimate:  # fmt: skip
    """Peak memory of painting a frame of so many pictures; raises WeightsError for models that can't be found."""
    images = min(images, budget.batch_size)
    with torch.device("meta"):
        vqgan = freeze(VQGAN(architecture_of(config.vqgan)), device).to(dtype)
        rows, columns = latent_shape(frame.width, frame.height, vqgan.factor)
        shape = (images, vqgan.architecture.embed_dim, rows, columns)
        z = torch.zeros(shape, dtype=dtype, requires_grad=True)
        visuals = [skeleton(p.model, device).visual.to(dtype) for p in config.perceptors]
        weights = sum(map(weight_bytes, [vqgan, *visuals]))
        decoder = sparing_bytes(vqgan, z) if budget.recompute else kept_bytes(vqgan.decode, z, [vqgan])
        crops = [p.crops or config.cutouts.count for p in config.perceptors]
        counts = [images * budget.chunk_size(count, images) for count in crops]
        looking = [
            kept_bytes(visual, _crops(visual, count, dtype), [visual])
            for visual, count in zip(visuals, counts, strict=True)
        ]
    has_holes = config.width * config.height <= SMALL and strengths(device).keeps_pages
    image = images * PICTURES * 3 * 4 * config.width * config.height
    return Estimate(weights, image, decoder, looking, HOLED_WORKSPACE if has_holes else WORKSPACE)


def kept_bytes(network: Callable[[Tensor], Any], x: Tensor, modules: Iterable[nn.Module]) -> int:
    """Bytes that autograd keeps for the backward pass of a frozen network, its weights not counted."""
    weights = {
        p.untyped_storage()._cdata for module in modules for p in [*module.parameters(), *module.buffers()]
    }
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage()._cdata not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), Blockwise():
        output = network(x)
    del output
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


class Blockwise(TorchFunctionMode):
    """Attention as devices compute it, block by block; on the meta device torch would write out the whole matrix."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*args[:3])[0]
        return func(*args, **(kwargs or {}))


def sparing_bytes(vqgan: VQGAN, z: Tensor) -> int:
    """Bytes kept where the decoder's blocks are passed again on the way back: their inputs, and one block's inside."""
    inside: list[int] = []

    def note(block: nn.Module, given: tuple[Tensor, ...]) -> None:
        x, latent = (tensor.detach().requires_grad_() for tensor in given)
        kept = kept_bytes(lambda x: block.forward(x, latent), x, [block])
        inside.append(kept - x.untyped_storage().nbytes())

    blocks = [block for block in vqgan.decoder.up.modules() if isinstance(block, ResnetBlock)]
    hooks = [block.register_forward_pre_hook(note) for block in blocks]
    kept = kept_bytes(lambda z: vqgan.decode(z, recompute=True), z, [vqgan])
    for hook in hooks:
        hook.remove()
    return kept + max(inside)


def weight_bytes(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def _crops(visual: Any, count: int, dtype: torch.dtype) -> Tensor:
    side = image_size(visual)
    return torch.zeros(count, 3, side, side, dtype=dtype, requires_grad=True)
