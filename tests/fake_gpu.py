"""A GPU that isn't there: tensors on it have shapes and no numbers, and everything that a real one minds is an error.

It stands on torch's FakeTensorMode, which needs no driver and refuses operations on tensors of two devices. Tensors on
the CPU stay real. torch's autograd engine asks for the real device, so that backward passes are walked here.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import is_
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_any, tree_map_only

from vqclip.guidance import optimize

aten: Any = torch.ops.aten
NUMBER = 1  # what every number is that is read from the device


class FakeGpu(FakeTensorMode):
    """While it is entered, `cuda` is a device of this machine.

    `copies` counts those that go to it in a step, and `captures` the steps that were captured.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.in_step = self.in_capture = self._inside = False
        self.copies = self.captures = self.launched = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:  # a third of all calls
            return args[0].device
        if self._inside:  # the fake mode asks itself, as when it takes in a tensor of the CPU
            return super().__torch_dispatch__(func, types, args, kwargs)
        if not (any(map(_lies_there, args)) or tree_any(_lies_there, (args, kwargs))):
            # A driver pins memory, and there is none.
            with no_dispatch():
                return func(*args, **kwargs | ({"pin_memory": False} if kwargs.get("pin_memory") else {}))
        self.launched += 1
        _check_layout(func, args)
        if func is aten._local_scalar_dense.default:
            self._read("a number")
            return torch.tensor(NUMBER, dtype=args[0].dtype).item()
        if self.in_step and _sends(func, args):
            self.copies += 1
            assert not self.in_capture, "a step that is captured copies from the CPU"
        self._inside = True
        try:
            done = super().__torch_dispatch__(func, types, args, kwargs)
        finally:
            self._inside = False
        done = _lay_out(func, args, done)
        if isinstance(done, FakeTensor):
            return self._fetch(done)
        return tree_map_only(FakeTensor, self._fetch, done)

    def _fetch(self, tensor: FakeTensor) -> Tensor:
        """What comes to the CPU gets numbers."""
        if tensor.device.type != "cpu":
            return tensor
        self._read(f"a tensor of {tuple(tensor.shape)}")
        with no_dispatch():
            return torch.full(tensor.shape, NUMBER, dtype=tensor.dtype)

    def _read(self, what: str) -> None:
        assert not self.in_step, f"a step waits for {what} from the GPU"

    @contextmanager
    def stepping(self) -> Iterator[None]:
        self.in_step = True
        try:
            yield
        finally:
            self.in_step = False

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Fail the test where a capture would end, which vqclip itself would survive by steps without a graph."""
        self.in_capture, self.captures = True, self.captures + 1
        try:
            yield
        except Exception as error:
            pytest.fail(f"no graph of this step: {error}")
        finally:
            self.in_capture = False


def _lies_there(leaf: Any) -> bool:
    if isinstance(leaf, torch.device):
        return leaf.type == "cuda"
    return isinstance(leaf, FakeTensor)


def _sends(func: Any, args: Sequence[Any]) -> bool:
    """Whether an operation moves numbers from the CPU to the device, which waits for it."""
    copied = {aten._to_copy.default: args[:1], aten.copy_.default: args[1:2]}.get(func, ())
    return any(isinstance(x, Tensor) and not isinstance(x, FakeTensor) for x in copied)


def _lay_out(func: Any, args: Sequence[Any], done: Any) -> Any:
    """As cuDNN does, and what the fake mode asks doesn't without a driver: a result has the layout of what it is of."""
    if func is aten.convolution.default and any(map(_channels_last, args[:2])):
        return torch.empty_like(done, memory_format=torch.channels_last)
    return done


def _channels_last(x: Tensor) -> bool:
    return x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)


def _check_layout(func: Any, args: Sequence[Any]) -> None:
    """What a kernel of CUDA's minds, and fake tensors don't; the public function first copies what lies otherwise."""
    if func is not aten.native_group_norm.default or args[0].is_contiguous() or _is_called(F.group_norm):
        return
    raise RuntimeError("Expected X.is_contiguous(memory_format) to be true, but got false.")


def _is_called(function: Any) -> bool:
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


@torch.no_grad()
def backward(tensors: Tensor | Sequence[Tensor], grad_tensors: Any, **_: Any) -> None:
    """torch.autograd.backward without its engine, which has a thread for each real device."""
    pending: dict[Any, list[Tensor | None]] = {}

    def give(node: Any, place: int, gradient: Tensor | None) -> None:
        if node is not None and gradient is not None:
            slots = pending.setdefault(node, [None] * len(node._input_metadata))
            gradient, before = gradient.sum_to_size(node._input_metadata[place].shape), slots[place]
            slots[place] = gradient if before is None else before + gradient

    pairs = (
        [(tensors, grad_tensors)] if isinstance(tensors, Tensor) else zip(tensors, grad_tensors, strict=True)
    )
    for tensor, gradient in pairs:
        give(tensor.grad_fn, tensor.output_nr, gradient)
    while pending:
        node = max(pending, key=lambda node: node._sequence_nr())  # what was made last is passed first
        slots = pending.pop(node)
        if hasattr(node, "variable"):
            leaf = node.variable
            leaf.grad = slots[0] if leaf.grad is None else leaf.grad + slots[0]
            continue
        given = [
            _zeros(meta) if x is None else x for x, meta in zip(slots, node._input_metadata, strict=True)
        ]
        passed = getattr(node, "apply", node)(*given)
        # Of what a Function of Python is given, only tensors have edges; in ours they come first.
        edges = zip(node.next_functions, passed if isinstance(passed, tuple) else (passed,), strict=False)
        for (before, place), gradient in edges:
            give(before, place, gradient)


def _zeros(meta: Any) -> Tensor:
    return torch.zeros(meta.shape, dtype=meta.dtype, device=meta.device)


class FakeGraphs:
    """A backend of step graphs without streams, which ask for a driver. Its replays give what the capture gave.

    A rehearsal gives what the step before gave, as it is the same work on tensors without numbers.
    """

    def __init__(self, gpu: FakeGpu, device: torch.device):
        assert device.type == "cuda"
        self._gpu, self._given = gpu, None

    def aside(self, work: Callable[[], Any]) -> Any:
        self._given = work()
        return self._given

    def rehearse(self, work: Callable[[], Any]) -> tuple[Any, str | None]:
        return self._given, None

    def capture(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        with self._gpu.capturing():
            return work(), lambda: None


@contextmanager
def fake_gpu(patch: pytest.MonkeyPatch, capability: tuple[int, int] = (9, 0)) -> Iterator[FakeGpu]:
    """A machine that has one; steps may neither read from it nor meet it with tensors of the CPU.

    Each stage's second step is captured, and nothing compares it with an ordinary one, as there are no numbers.
    """
    gpu = FakeGpu()
    patch.setattr("vqclip.base.device.present", lambda: ["cuda:0", "cpu"])
    patch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    patch.setattr(torch.cuda, "get_device_name", lambda *_: "none")
    patch.setattr(torch.cuda, "mem_get_info", lambda *_: (64 * 2**30, 80 * 2**30))
    patch.setattr(torch.autograd, "backward", backward)
    patch.setattr("vqclip.guidance.step_graph.CudaGraphs", partial(FakeGraphs, gpu))
    patch.setattr("vqclip.guidance.step_graph.WARM_UP", 1)
    patch.setattr("vqclip.guidance.step_graph.StepGraphs._check", lambda *_: None)
    patch.setattr("vqclip.guidance.optimize.take_step", watched(gpu, optimize.take_step))
    with gpu, _switches_put_back(patch):
        yield gpu


@contextmanager
def _switches_put_back(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what determinism.enter sets for the whole process."""
    patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    for place, name in (
        (torch.backends.cudnn, "deterministic"),
        (torch.backends.cudnn, "benchmark"),
        (torch.utils.deterministic, "fill_uninitialized_memory"),
    ):
        patch.setattr(place, name, getattr(place, name))
    before = torch.get_deterministic_debug_mode()
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def watched(gpu: FakeGpu, take_step: Callable[..., Any]) -> Callable[..., Any]:
    """Fail steps that read from the device, and those after a stage's first that copy more to it than their draw."""
    known: list[list[object]] = []  # what made up the stages so far

    def take(frame: Any, objective: Any, states: Any, draw: Any = None) -> Any:
        stage = [frame, objective, *(state.latent.z for state in states)]
        is_known = any(len(stage) == len(one) and all(map(is_, stage, one)) for one in known)
        known.append(stage)
        before = gpu.copies
        with gpu.stepping():
            steps = take_step(frame, objective, states, draw)
        assert not is_known or gpu.copies == before + 1
        return steps

    return take
