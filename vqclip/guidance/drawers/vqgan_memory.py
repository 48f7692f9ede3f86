"""How much memory a VQGAN takes, counted on one without weights on torch's meta device."""

import torch
from torch import Tensor, nn

from vqclip.config.timeline import latent_shape
from vqclip.guidance.kept_bytes import kept_bytes, weight_bytes
from vqclip.guidance.memory import MemoryBudget
from vqclip.models.folding import freeze
from vqclip.models.vqgan import VQGAN
from vqclip.models.vqgan_layers import ResnetBlock
from vqclip.models.vqgan_loading import architecture_of


def bytes_of(
    model: str, width: int, height: int, images: int, dtype: torch.dtype, budget: MemoryBudget,
    device: torch.device,
) -> tuple[int, int]:  # fmt: skip
    """Bytes of the weights, and of what autograd keeps of the decoder; raises WeightsError."""
    with torch.device("meta"):
        vqgan = freeze(VQGAN(architecture_of(model)), device).to(dtype)
        rows, columns = latent_shape(width, height, vqgan.factor)
        shape = (images, vqgan.architecture.embed_dim, rows, columns)
        z = torch.zeros(shape, dtype=dtype, requires_grad=True)
        kept = sparing_bytes(vqgan, z) if budget.recompute else kept_bytes(vqgan.decode, z, [vqgan])
    return weight_bytes(vqgan), kept


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
