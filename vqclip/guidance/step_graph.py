"""Capture a step's kernels once as a CUDA graph and replay it; where that fails, run the kernels one by one."""

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from vqclip.base.device import strengths
from vqclip.guidance.records import DeviceRecord, mapped, tensors

log = logging.getLogger(__name__)

WARM_UP = 3  # ordinary steps before a capture: libraries choose their kernels, optimisers make their moments
# How much a replay's losses and updates may differ from an ordinary step's, as a share.
TOLERANCES = {torch.float32: 0.01}
TOLERANCE = 0.05  # for 16-bit types

NOT_THEN = ("0", "false", "no", "off")  # values of VQCLIP_GRAPH
# What torch says where the host waits for a device, and once where it is first asked to say so.
WAITS, IS_ASKED = "called a synchronizing CUDA operation", "Synchronization debug mode is a prototype"

Draw = TypeVar("Draw")
Result = TypeVar("Result")
Body = Callable[[Draw], Result]


class Backend(Protocol):
    """Capture the kernels that a function runs on a device."""

    def aside(self, work: Callable[[], Any], /) -> Any:
        """Run `work` on the stream that captures use, and give its result."""
        ...

    def rehearse(self, work: Callable[[], Any], /) -> tuple[Any, str | None]:
        """Run `work` as `aside` does; give also the line of code that waits for the device, as no capture may."""
        ...

    def capture(self, work: Callable[[], Any], /) -> tuple[Any, Callable[[], None]]:
        """Capture `work`; give the tensors that it returns, and a function that replays it into them."""
        ...


class CudaGraphs:
    """Capture with torch.cuda.graph on one device. Each graph has a memory pool of its own, freed with the graph.

    Where torch can't end a capture, its allocator takes the capture for one that goes on. Another would lose memory
    again, so that the process makes no more.
    """

    is_cut_off = False  # whether torch couldn't end a capture of this process

    def __init__(self, device: torch.device):
        self._side: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def aside(self, work: Callable[[], Any]) -> Any:
        current = torch.cuda.current_stream(self._side.device)
        self._side.wait_stream(current)
        try:
            with torch.cuda.stream(self._side):
                return work()
        finally:
            current.wait_stream(self._side)

    def rehearse(self, work: Callable[[], Any]) -> tuple[Any, str | None]:
        with _noted_waits() as places:
            result = self.aside(work)
        return result, places[0] if places else None

    def capture(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        if CudaGraphs.is_cut_off:
            raise RuntimeError("torch couldn't end an earlier capture")
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._side.device)
        # The outermost context brings the thread back to its stream where torch doesn't.
        # Other threads, which decode or write videos, may use the device during the capture.
        with (
            torch.cuda.stream(current),
            self._noting_the_end(),
            torch.cuda.graph(graph, stream=self._side, capture_error_mode="thread_local"),
        ):
            result = work()
        return result, graph.replay

    @contextmanager
    def _noting_the_end(self) -> Iterator[None]:
        """Note where torch couldn't end a capture: it leaves the thread on the side stream then."""
        try:
            yield
        except Exception:
            if torch.cuda.current_stream(self._side.device) == self._side:
                CudaGraphs.is_cut_off = True
            raise


@contextmanager
def _noted_waits() -> Iterator[list[str]]:
    """List the lines of code at which this thread waits for a device meanwhile.

    torch warns in all threads. It could also raise, but that would stop another thread, which may wait.
    """
    places, thread = [], threading.get_ident()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", IS_ASKED)
        warnings.filterwarnings("always", WAITS)
        show = warnings.showwarning

        def note(
            message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
        ) -> None:
            if not str(message).startswith(WAITS):
                show(message, category, filename, lineno, file, line)
            elif threading.get_ident() == thread:
                places.append(f"line {lineno} of {Path(filename).name}")

        warnings.showwarning = note
        mode = torch.cuda.get_sync_debug_mode()
        try:
            torch.cuda.set_sync_debug_mode("warn")
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(mode)


def step_graphs(device: torch.device, precision: torch.dtype) -> "StepGraphs | None":
    """Make the runner of a device's steps: with graphs on CUDA, unless VQCLIP_GRAPH=0; None on a CPU."""
    if not strengths(device).fixed_shapes:
        return None
    is_wanted = os.environ.get("VQCLIP_GRAPH", "").lower() not in NOT_THEN
    return StepGraphs(CudaGraphs(device) if strengths(device).graphs and is_wanted else None, precision)


class StepGraphs:
    """Run steps, by replaying a captured graph where there is a backend.

    A step's draw is copied into one buffer, whose address stays the same. What a replay returns is copied out of the
    graph's tensors.
    """

    def __init__(self, backend: Backend | None, precision: torch.dtype = torch.float32):
        self._backend, self._tolerance = backend, TOLERANCES.get(precision, TOLERANCE)
        self.has_replayed = False  # whether any step so far was a replay
        self._begin((), None)

    def run(
        self, owner: Sequence[object], draw: Draw, device: torch.device,
        ordinary: Body[Draw, Result], captured: Body[Draw, Result], live: Callable[[], list[Tensor]],
    ) -> Result:  # fmt: skip
        """Run one step with a draw that lies on the CPU, and give what it returns.

        `ordinary` may shrink the memory budget and try again; `captured`, which is captured, may not. Both change the
        `live` tensors in place and return new ones. A graph is reused for the same objects in `owner` only.
        """
        if self._inputs is None or not self._is_of(owner) or not self._inputs.fits(draw):
            self._begin(owner, DeviceRecord(draw, device))
        assert self._inputs is not None
        inputs = self._inputs.load(draw)
        if self._replay is not None:
            self.has_replayed = True
            self._replay()
            return _copied(self._outputs)
        if self._backend is None:
            return ordinary(inputs)
        self._steps += 1
        step = lambda: ordinary(inputs)  # noqa: E731
        if self._steps <= WARM_UP:
            return self._backend.aside(step)
        return self._first(self._backend, step, lambda: captured(inputs), live())

    def release(self) -> None:
        """Drop the graph, and with it the memory of a whole step; the next steps are ordinary ones."""
        self._begin((), None)

    def _begin(self, owner: Sequence[object], inputs: DeviceRecord[Any] | None) -> None:
        self._owner, self._inputs, self._steps = tuple(owner), inputs, 0
        self._replay: Callable[[], None] | None = None
        self._outputs: Any = None

    def _is_of(self, owner: Sequence[object]) -> bool:
        return len(owner) == len(self._owner) and all(map(lambda a, b: a is b, owner, self._owner))

    def _first(
        self, backend: Backend, ordinary: Callable[[], Any], captured: Callable[[], Any], live: list[Tensor]
    ) -> Any:
        """Run an ordinary step, capture it, replay it from the same state, and compare the two.

        Where the capture or the comparison fails, keep the ordinary step's result, and run ordinary steps from then on.
        A step that waits for the device isn't captured: torch keeps the memory of a capture that was cut off.
        """
        before = _copied(live)
        expected, place = backend.rehearse(ordinary)
        after = _copied(live)
        try:
            if place:
                raise ValueError(f"a step waits for the device at {place}")
            _restore(live, before)
            outputs, replay = backend.capture(captured)
            _restore(live, before)
            replay()
            moves = [_moves(tensors_, before) for tensors_ in (live, after)]
            self._check([*tensors(outputs), *moves[0]], [*tensors(expected), *moves[1]])
            self._outputs, self._replay = outputs, replay
            return _copied(outputs)
        except Exception as error:  # an old driver, an odd model, too little memory: none is a reason to stop
            why = _reason(error)
        _restore(live, after)
        self._backend = None
        log.warning("steps aren't replayed as one graph, but run one kernel at a time: %s", why)
        return expected

    def _check(self, found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
        """Check that tensors agree on average; raises ValueError. This waits for the device."""
        shares = [_difference(a, b) for a, b in zip(found, expected, strict=True)]
        furthest = float(torch.stack(shares).max())
        if furthest > self._tolerance:
            raise ValueError(f"a replay was off by {furthest:.1%} of an ordinary step")


def _reason(error: BaseException) -> str:
    """Give an error's first line, and the earlier error's: torch raises one more where it ends a failed capture."""
    errors = [each for each in (error, error.__context__) if each is not None]
    return ", after: ".join(str(each).strip().partition("\n")[0] or type(each).__name__ for each in errors)


def _difference(found: Tensor, expected: Tensor) -> Tensor:
    """Compute the mean distance of two tensors as a share of the second's mean size; equal infinities agree."""
    a, b = (tensor.detach().float().nan_to_num(1e6, 1e6, -1e6) for tensor in (found, expected))
    return (a - b).abs().mean() / b.abs().mean().clamp(min=1e-20)


def _moves(live: Sequence[Tensor], before: Sequence[Tensor]) -> list[Tensor]:
    """Compute by how much a step changed tensors; counters, which may lie on the CPU, are left out."""
    return [(a.detach() - b) for a, b in zip(live, before, strict=True) if a.ndim]


def _copied(record: Result) -> Result:
    return mapped(record, lambda tensor: tensor.detach().clone())


@torch.no_grad()
def _restore(live: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(live, values, strict=True):
        tensor.copy_(value)
