"""Captures by torch.cuda leave the thread, the device's modes and other captures as they were, whatever fails.

torch.cuda is a stand-in that minds what a driver minds: a read of the device's numbers cuts a capture off, the end of
such a capture fails too and leaves the thread on the capture's stream, and a pool that no graph uses can't be joined.
"""

import threading
import warnings
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import torch

from vqclip.guidance import step_graph
from vqclip.guidance.step_graph import CudaGraphs

CUDA = torch.device("cuda:0")
WAITS = "called a synchronizing CUDA operation"


class Stream:
    """A stream that remembers for which others it has waited."""

    def __init__(self, device: torch.device = CUDA):
        self.device, self.waited_for = device, []

    def wait_stream(self, other: "Stream") -> None:
        self.waited_for.append(other)


class Cuda:
    """The part of torch.cuda that captures use."""

    def __init__(self) -> None:
        self.main = self.current = Stream()
        self.capturing = self.cut_off = False
        self.mode = 0
        self.begins = True  # whether a capture can begin
        self.pools: dict[Any, int] = {}  # how many graphs use each

    def read(self) -> None:
        """Read one of the device's numbers."""
        if self.mode == 1:
            warnings.warn(WAITS, UserWarning, stacklevel=2)
        if self.capturing:
            self.cut_off = True
            raise RuntimeError("operation not permitted when stream is capturing")

    def set_mode(self, mode: str | int) -> None:
        warnings.warn(
            "Synchronization debug mode is a prototype feature and does not yet detect all", stacklevel=1
        )
        self.mode = {"default": 0, "warn": 1, "error": 2}[mode] if isinstance(mode, str) else mode

    @contextmanager
    def stream(self, stream: Stream) -> Any:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before


class Graph:
    """A captured graph; it leaves its pool when it is dropped."""

    def __init__(self, cuda: Cuda):
        self.cuda, self.pool = cuda, None

    def replay(self) -> None:
        pass

    def __del__(self) -> None:
        if self.pool in self.cuda.pools:
            self.cuda.pools[self.pool] -= 1


class Capture:
    """torch.cuda.graph, which brings the thread back to its stream only after a capture that ended well."""

    def __init__(self, cuda: Cuda, graph: Graph, pool: Any, stream: Stream):
        self.cuda, self.graph, self.side = cuda, graph, stream
        self.pool = object() if pool is None else pool

    def __enter__(self) -> None:
        self.before, self.cuda.current = self.cuda.current, self.side
        if not self.cuda.begins:
            raise RuntimeError("no capture can begin")
        if self.cuda.pools.get(self.pool) == 0:
            raise RuntimeError("INTERNAL ASSERT FAILED: use_count > 0")
        self.cuda.pools[self.pool] = self.cuda.pools.get(self.pool, 0) + 1
        self.graph.pool, self.cuda.capturing = self.pool, True

    def __exit__(self, *_: object) -> None:
        self.cuda.capturing = False
        if self.cuda.cut_off:
            raise RuntimeError("operation failed due to a previous error during capture")
        self.cuda.current = self.before


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    cuda = Cuda()

    def capture(graph: Graph, pool: Any = None, stream: Any = None, capture_error_mode: str = "") -> Capture:
        assert capture_error_mode == "thread_local"
        return Capture(cuda, graph, pool, stream)

    stand_ins: dict[str, Any] = {
        "Stream": Stream, "current_stream": lambda _: cuda.current, "stream": cuda.stream,
        "CUDAGraph": lambda: Graph(cuda), "graph": capture, "graph_pool_handle": object,
        "get_sync_debug_mode": lambda: cuda.mode, "set_sync_debug_mode": cuda.set_mode,
    }  # fmt: skip
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(CudaGraphs, "is_cut_off", False)
    return cuda


def fail() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_capture_takes_the_side_stream_and_comes_back(cuda: Cuda) -> None:
    graphs = CudaGraphs(CUDA)
    stream, _ = graphs.capture(lambda: cuda.current)
    assert stream is graphs._side
    assert cuda.current is cuda.main


@pytest.mark.parametrize("begins", [True, False])
def test_a_capture_that_is_cut_off_brings_the_thread_back_too(cuda: Cuda, begins: bool) -> None:
    cuda.begins = begins
    with pytest.raises(RuntimeError):
        CudaGraphs(CUDA).capture(cuda.read)
    assert cuda.current is cuda.main


def test_no_capture_follows_one_that_was_cut_off(cuda: Cuda) -> None:
    """Of any Pipeline of the process: each would keep another step's memory."""
    with pytest.raises(RuntimeError):
        CudaGraphs(CUDA).capture(cuda.read)
    cuda.cut_off = False
    with pytest.raises(RuntimeError, match="earlier capture"):
        CudaGraphs(CUDA).capture(object)
    assert len(cuda.pools) == 1


def test_a_shortage_of_memory_is_no_reason_to_capture_no_more(cuda: Cuda) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        CudaGraphs(CUDA).capture(fail)
    CudaGraphs(CUDA).capture(object)
    assert cuda.current is cuda.main


def test_the_cause_of_a_failed_capture_is_told_beside_what_torch_says(cuda: Cuda) -> None:
    with pytest.raises(RuntimeError) as caught:
        CudaGraphs(CUDA).capture(cuda.read)
    assert step_graph._reason(caught.value) == (
        "operation failed due to a previous error during capture, "
        "after: operation not permitted when stream is capturing"
    )


def test_work_that_fails_aside_is_waited_for_all_the_same(cuda: Cuda) -> None:
    """Else the steps that follow on the thread's own stream would overtake it."""
    graphs = CudaGraphs(CUDA)
    with pytest.raises(torch.OutOfMemoryError):
        graphs.aside(fail)
    assert cuda.current is cuda.main
    assert cuda.main.waited_for == [graphs._side]


def test_a_capture_begins_while_tensors_of_the_last_one_live(cuda: Cuda) -> None:
    graphs = CudaGraphs(CUDA)
    kept, replay = graphs.capture(object)
    del replay
    graphs.capture(object)
    assert kept


class TestRehearsal:
    def test_gives_what_work_gives_and_the_first_line_that_waits(self, cuda: Cuda) -> None:
        def work() -> Any:
            cuda.read()
            cuda.read()
            return cuda.current

        graphs = CudaGraphs(CUDA)
        stream, place = graphs.rehearse(work)
        assert stream is graphs._side
        assert place == f"line {work.__code__.co_firstlineno + 1} of test_cuda_graphs.py"
        assert graphs.rehearse(lambda: 5) == (5, None)

    @pytest.mark.parametrize("mode", [0, 2])
    @pytest.mark.parametrize("work", [lambda: None, fail])
    def test_leaves_the_mode_and_the_warnings_as_they_were(
        self, cuda: Cuda, mode: int, work: Callable[[], None]
    ) -> None:
        cuda.mode, shown, filters = mode, warnings.showwarning, list(warnings.filters)
        with suppress(torch.OutOfMemoryError):
            CudaGraphs(CUDA).rehearse(work)
        assert cuda.mode == mode
        assert warnings.showwarning is shown
        assert warnings.filters == filters

    def test_does_not_mind_other_threads_that_wait(self, cuda: Cuda) -> None:
        def work() -> None:
            other = threading.Thread(target=cuda.read)
            other.start()
            other.join()

        assert CudaGraphs(CUDA).rehearse(work) == (None, None)

    def test_shows_only_the_warnings_of_others(self, cuda: Cuda) -> None:
        def work() -> None:
            cuda.read()
            warnings.warn("something else", UserWarning, stacklevel=1)

        with pytest.warns(UserWarning, match="else") as shown:
            CudaGraphs(CUDA).rehearse(work)
        assert [str(each.message) for each in shown] == ["something else"]
