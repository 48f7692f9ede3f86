"""Triton's kernels agree with torch's where Triton's interpreter runs them, and compile for GPUs that aren't here."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from vqclip.models.kernels import ON_CPU, PUBLIC, TOLERANCE, attend_wide, kernels_for

KERNELS = (
    "_block_moments",
    "_group_moments",
    "_apply",
    "_block_gradients",
    "_group_gradients",
    "_input_gradient",
)
KINDS = {"pixels": "i32", "channels": "i32", "span": "i32", "blocks": "i32", "per_group": "i32",
         "size": "fp32", "eps": "fp32", "rows": "constexpr", "width": "constexpr"}  # fmt: skip
PICTURES = ("x", "y", "grad", "dx", "weight", "bias")  # arguments of the network's own kind


@pytest.fixture(scope="module")
def interpreted() -> dict[str, Any]:
    """What the interpreter found, in a process of its own: Triton decides when it is imported."""
    pytest.importorskip("triton")
    child = [sys.executable, str(Path(__file__).with_name("triton_interpreted.py"))]
    done = subprocess.run(
        child, env=os.environ | {"TRITON_INTERPRET": "1"}, check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_values_and_gradients_agree_with_torch(interpreted: dict[str, Any]) -> None:
    """Also for widths that are no powers of two, several blocks, one pixel, and numbers far from 0."""
    assert len(interpreted["agree"]) == 8
    for case, (values, gradients) in interpreted["agree"].items():
        most = 2e-2 if "bfloat16" in case else 1e-5
        assert values <= most, case
        assert gradients <= most, case


def test_the_result_repeats_and_its_channels_lie_last(interpreted: dict[str, Any]) -> None:
    assert interpreted["repeats"]
    assert interpreted["channels_last"]


def test_a_whole_decoder_agrees_with_public_kernels(interpreted: dict[str, Any]) -> None:
    image, gradient = interpreted["decoder"]
    assert image <= 1e-4
    assert gradient <= 1e-4


def test_they_are_taken_only_where_they_agree(interpreted: dict[str, Any]) -> None:
    assert interpreted["taken"]
    assert interpreted["difference"] <= TOLERANCE < interpreted["difference of wrong ones"]
    assert interpreted["lines"] == [
        "Triton's kernels are off by",
        "Triton's kernels can't be used here: no ptxas",
    ]


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("name", KERNELS)
def test_compiles_for_gpus(
    name: str, capability: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Down to machine code, for which Triton needs no driver."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415
    from triton.compiler import ASTSource  # noqa: PLC0415

    from vqclip.models import triton_kernels  # noqa: PLC0415

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(triton_kernels, name)
    signature = {
        argument: KINDS.get(argument, "*bf16" if argument in PICTURES else "*fp32")
        for argument in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs={"rows": 8, "width": 512})
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert compiled.asm["cubin"]


def test_they_are_asked_for_and_never_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels_for(torch.device("cpu")) is ON_CPU
    assert kernels_for(torch.device("meta")) is PUBLIC


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The current device of each launch, of kernels that do nothing, on a machine whose current device is 0."""
    pytest.importorskip("triton")
    from vqclip.models import triton_kernels  # noqa: PLC0415

    found: list[int] = []
    current = [0]

    def exchange(device: int) -> int:
        before = current[0]
        current[0] = device if device >= 0 else before
        return before

    for name in ("_exchange_device", "_maybe_exchange_device"):
        monkeypatch.setattr(torch.cuda, name, exchange)
    for name in KERNELS:
        launch = lambda *given: found.append(current[0])  # noqa: E731
        monkeypatch.setattr(triton_kernels, name, defaultdict(lambda launch=launch: launch))
    return found


def norm_forth_and_back(device: str) -> None:
    from vqclip.models import triton_kernels  # noqa: PLC0415

    norm = torch.nn.GroupNorm(4, 8, device=device).requires_grad_(False)
    y = triton_kernels.norm_silu(torch.empty(1, 8, 4, 4, device=device, requires_grad=True), norm)
    assert y.grad_fn is not None
    y.grad_fn.apply(torch.empty_like(y))  # type: ignore[attr-defined]  # the engine asks for a real device


def test_they_run_on_the_device_of_their_tensors_and_not_on_the_current_one(launches: list[int]) -> None:
    with FakeTensorMode():
        norm_forth_and_back("cuda:1")
    assert launches == [1] * len(KERNELS)
    assert torch.cuda._exchange_device(-1) == 0, "the current device is what it was"


def test_nothing_is_launched_where_memory_is_counted_on_the_meta_device(launches: list[int]) -> None:
    """A meta tensor's address is 0, which a GPU would write to."""
    norm_forth_and_back("meta")
    assert launches == []


@pytest.mark.parametrize("channels", [64, 512])
def test_attention_of_a_wide_head_agrees_with_torch(channels: int) -> None:
    torch.manual_seed(0)
    q, k, v, grad = (torch.randn(1, 1, 60, channels) for _ in range(4))
    found = []
    for attend in (attend_wide, F.scaled_dot_product_attention):
        leaf = q.clone().requires_grad_()
        y = attend(leaf, k, v)
        found.append((y.detach(), *torch.autograd.grad(y, leaf, grad)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
