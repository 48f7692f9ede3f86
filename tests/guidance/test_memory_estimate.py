"""Estimates count what autograd keeps, on networks without weights."""

import pytest
import torch
from conftest import Tiny
from torch import nn

from vqclip.base.errors import WeightsError
from vqclip.config.timeline import Film
from vqclip.guidance import memory_estimate
from vqclip.guidance.drawers.vqgan_memory import sparing_bytes
from vqclip.guidance.kept_bytes import kept_bytes, weight_bytes
from vqclip.guidance.memory import MemoryBudget
from vqclip.guidance.memory_estimate import RESIDENT, estimate
from vqclip.models.folding import freeze
from vqclip.models.vqgan import VQGAN, Architecture


def test_what_autograd_keeps_is_counted_once_and_without_weights() -> None:
    """exp keeps its result, a frozen linear layer keeps nothing that is new, and sin keeps its input."""
    linear = nn.Linear(8, 8).requires_grad_(False)
    x = torch.zeros(4, 8, requires_grad=True)
    size = x.numel() * x.element_size()
    assert kept_bytes(torch.exp, x, []) == size
    assert kept_bytes(linear, x, [linear]) == 0
    assert kept_bytes(lambda t: torch.sin(torch.exp(t)), x, []) == size
    assert kept_bytes(lambda t: torch.sin(torch.sin(t)), x, []) == 2 * size


def test_weights_are_counted_by_their_kind() -> None:
    assert weight_bytes(nn.Linear(3, 2)) == (3 * 2 + 2) * 4
    assert weight_bytes(nn.Linear(3, 2).to(torch.bfloat16)) == (3 * 2 + 2) * 2


def peak(tiny: Tiny, chunk: int = 64, dtype: torch.dtype = torch.float32, **settings: object) -> int:
    config = tiny(**settings)
    return estimate(config, Film(config).frame(0), dtype, MemoryBudget(chunk)).total - RESIDENT


def test_grows_with_the_picture_and_the_crops_and_shrinks_with_chunks_and_precision(tiny: Tiny) -> None:
    many: dict[str, object] = {"cutouts": {"count": 64}}
    assert peak(tiny, size="64x64") > peak(tiny, size="32x32")
    assert peak(tiny, **many) > peak(tiny, cutouts={"count": 8})
    assert peak(tiny, chunk=8, **many) < peak(tiny, **many)
    assert peak(tiny, dtype=torch.bfloat16, **many) < peak(tiny, **many)


def test_the_count_agrees_with_a_real_forward_pass() -> None:
    """On the meta device and on the CPU a network keeps the same tensors."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 3, 3)
    ).requires_grad_(False)
    real = torch.zeros(1, 3, 16, 16, requires_grad=True)
    assert kept_bytes(network.to("meta"), real.detach().to("meta").requires_grad_(), [network]) == kept_bytes(
        network.to_empty(device="cpu"), real, [network]
    )


def test_attention_is_counted_as_it_is_computed_without_its_matrix() -> None:
    """What a decoder keeps grows with its pixels, and not with their square."""
    with torch.device("meta"):
        vqgan = freeze(VQGAN(Architecture(ch=32, z_channels=64, embed_dim=64, encoder=False)))
        small, large = (
            kept_bytes(vqgan.decode, torch.zeros(1, 64, side, side, requires_grad=True), [vqgan])
            for side in (64, 128)
        )
    assert large < 4.01 * small


def test_models_that_are_missing_are_refused(tiny: Tiny) -> None:
    with pytest.raises(WeightsError):
        peak(tiny, vqgan="nowhere.ckpt")


def test_nothing_is_computed(tiny: Tiny) -> None:
    """A picture that no machine could hold is estimated all the same."""
    assert peak(tiny, size="8192x8192") > 2**30


def test_recomputing_keeps_less_and_large_pictures_begin_with_it(tiny: Tiny) -> None:
    with torch.device("meta"):
        vqgan = freeze(VQGAN(Architecture(encoder=False)))
        z = torch.zeros(1, 256, 32, 32, requires_grad=True)
        assert sparing_bytes(vqgan, z) < 0.8 * kept_bytes(vqgan.decode, z, [vqgan])
    assert not MemoryBudget.of(512, 512, torch.device("cpu")).recompute
    assert MemoryBudget.of(1024, 1024, torch.device("cpu")).recompute


def test_a_batch_is_as_large_as_a_devices_memory_and_on_a_host_as_asked(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(size="64x64")
    frame, gpu = Film(config).frame(0), torch.device("meta")  # strengths takes what is no CPU for a GPU

    def fit(free: int, device: torch.device = gpu) -> int:
        monkeypatch.setattr(memory_estimate, "free_memory", lambda device: free)
        return memory_estimate.fitting(config, frame, torch.float32, MemoryBudget(), 16, device)

    def needed(images: int) -> int:
        total = estimate(config, frame, torch.float32, MemoryBudget(), images, gpu).total
        return int(total / memory_estimate.FREE) + 1

    assert fit(2**40) == 16
    assert [fit(needed(images)) for images in (1, 2, 5)] == [1, 2, 5]
    assert fit(0) == 1
    assert fit(0, torch.device("cpu")) == 16
