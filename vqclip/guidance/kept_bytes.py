"""Count the bytes of a network's weights, and of the tensors that autograd keeps for the backward pass."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def kept_bytes(network: Callable[[Tensor], Any], x: Tensor, modules: Iterable[nn.Module]) -> int:
    """Count the bytes that autograd keeps for the backward pass of a frozen network, its weights not counted."""
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
    """Compute attention block by block, as devices do; on the meta device torch would make the whole matrix."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*args[:3])[0]
        return func(*args, **(kwargs or {}))


def weight_bytes(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())
