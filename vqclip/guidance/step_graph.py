"""Steps as graphs: a device's kernels of one step, captured once and replayed, or run one by one where that fails."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from vqclip.base.device import strengths
from vqclip.guidance.records import DeviceRecord, mapped, tensors

log = logging.getLogger(__name__)

WARM_UP = 3  # ordinary steps before a capture: libraries choose their kernels, optimisers make their moments
# How far a replay may be from an ordinary step, as a share: of the losses, and of how far the step moves.
TOLERANCES = {torch.float32: 0.01}
TOLERANCE = 0.05  # of shorter numbers

NOT_THEN = ("0", "false", "no", "off")  # values of VQCLIP_GRAPH

Draw = TypeVar("Draw")
Seen = TypeVar("Seen")
Body = Callable[[Draw], Seen]


class Backend(Protocol):
    """Captures what a function does to tensors of a device."""

    def aside(self, work: Callable[[], Any], /) -> Any:
        """The result of work that runs where captures will."""
        ...

    def capture(self, work: Callable[[], Any], /) -> tuple[Any, Callable[[], None]]:
        """The tensors that work returns, and what fills them again by doing the work once more."""
        ...


class CudaGraphs:
    """torch.cuda.graph on one device; all captures share a pool of memory, so one is forgotten before the next."""

    def __init__(self, device: torch.device):
        self._side: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def aside(self, work: Callable[[], Any]) -> Any:
        current = torch.cuda.current_stream(self._side.device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            result = work()
        current.wait_stream(self._side)
        return result

    def capture(self, work: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        # Threads that decode or write videos may go on meanwhile.
        with torch.cuda.graph(graph, self._pool, self._side, capture_error_mode="thread_local"):
            result = work()
        return result, graph.replay


def step_graphs(device: torch.device, precision: torch.dtype) -> "StepGraphs | None":
    """What runs the steps of a device: graphs on CUDA, unless VQCLIP_GRAPH=0 says otherwise; None on a CPU."""
    if not strengths(device).fixed_shapes:
        return None
    is_wanted = os.environ.get("VQCLIP_GRAPH", "").lower() not in NOT_THEN
    return StepGraphs(CudaGraphs(device) if strengths(device).graphs and is_wanted else None, precision)


class StepGraphs:
    """Runs the steps of one painting after the other; without a backend, each as an ordinary one.

    What a step draws comes in one buffer that stays where it is; what it returns is copied out of the graph's own.
    """

    def __init__(self, backend: Backend | None, precision: torch.dtype = torch.float32):
        self._backend, self._tolerance = backend, TOLERANCES.get(precision, TOLERANCE)
        self._begin((), None)

    def run(
        self, owner: Sequence[object], draw: Draw, device: torch.device,
        ordinary: Body[Draw, Seen], bare: Body[Draw, Seen], live: Callable[[], list[Tensor]],
    ) -> Seen:  # fmt: skip
        """What a step returns for a draw that lies on the CPU.

        `ordinary` may take measures when memory is short; `bare`, which is captured, takes none. Both change the `live`
        tensors in place and return new ones. A graph is good for the same objects in `owner`, compared by identity.
        """
        if self._inputs is None or not self._is_of(owner) or not self._inputs.fits(draw):
            self._begin(owner, DeviceRecord(draw, device))
        assert self._inputs is not None
        inputs = self._inputs.load(draw)
        if self._replay is not None:
            self._replay()
            return _copied(self._outputs)
        if self._backend is None:
            return ordinary(inputs)
        self._seen += 1
        seen = lambda: ordinary(inputs)  # noqa: E731
        if self._seen <= WARM_UP:
            return self._backend.aside(seen)
        return self._first(self._backend, seen, lambda: bare(inputs), live())

    def _begin(self, owner: Sequence[object], inputs: DeviceRecord[Any] | None) -> None:
        self._owner, self._inputs, self._seen = tuple(owner), inputs, 0
        self._replay: Callable[[], None] | None = None
        self._outputs: Any = None

    def _is_of(self, owner: Sequence[object]) -> bool:
        return len(owner) == len(self._owner) and all(map(lambda a, b: a is b, owner, self._owner))

    def _first(
        self, backend: Backend, ordinary: Callable[[], Any], bare: Callable[[], Any], live: list[Tensor]
    ) -> Any:
        """Take a step as ordinary, capture it, replay it from the same state, and compare.

        Whatever goes wrong, the step has been taken, and those after it will be ordinary ones.
        """
        before = _copied(live)
        expected = backend.aside(ordinary)
        after = _copied(live)
        try:
            _restore(live, before)
            outputs, replay = backend.capture(bare)
            _restore(live, before)
            replay()
            moves = [_moves(tensors_, before) for tensors_ in (live, after)]
            self._check([*tensors(outputs), *moves[0]], [*tensors(expected), *moves[1]])
            self._outputs, self._replay = outputs, replay
            return _copied(outputs)
        except Exception as error:  # an old driver, an odd model, too little memory: none is a reason to stop
            why = str(error).strip().partition("\n")[0] or type(error).__name__
        _restore(live, after)
        self._backend = None
        log.warning("steps aren't replayed as one graph, but run one kernel at a time: %s", why)
        return expected

    def _check(self, found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
        """Raise ValueError unless tensors agree, on the average over their numbers; the device is waited for."""
        shares = [_difference(a, b) for a, b in zip(found, expected, strict=True)]
        furthest = float(torch.stack(shares).max())
        if furthest > self._tolerance:
            raise ValueError(f"a replay was off by {furthest:.1%} of an ordinary step")


def _difference(found: Tensor, expected: Tensor) -> Tensor:
    """The mean distance of two tensors as a share of the second's mean size; what isn't finite agrees with its like."""
    a, b = (tensor.detach().float().nan_to_num(1e6, 1e6, -1e6) for tensor in (found, expected))
    return (a - b).abs().mean() / b.abs().mean().clamp(min=1e-20)


def _moves(live: Sequence[Tensor], before: Sequence[Tensor]) -> list[Tensor]:
    """By how much a step has changed tensors; counters, which may lie elsewhere, are left out."""
    return [(a.detach() - b) for a, b in zip(live, before, strict=True) if a.ndim]


def _copied(record: Seen) -> Seen:
    return mapped(record, lambda tensor: tensor.detach().clone())


@torch.no_grad()
def _restore(live: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(live, values, strict=True):
        tensor.copy_(value)
