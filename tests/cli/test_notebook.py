"""In a notebook's kernel, `vqclip.show` keeps one image and one line up to date; elsewhere it asks for no IPython."""

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from conftest import Tiny
from PIL import Image

import vqclip
from vqclip.cli.display import notebook
from vqclip.pipeline.events import Stepped


class Notebook:
    """What IPython's display module does: each display has a handle, which replaces what it shows."""

    def __init__(self) -> None:
        self.shown: list[list[Any]] = []  # of each display, all that it showed

    def display(self, thing: Any, *, display_id: bool) -> SimpleNamespace:
        assert display_id
        here = [thing]
        self.shown.append(here)
        return SimpleNamespace(update=here.append)


def ipython(monkeypatch: pytest.MonkeyPatch, shell: Any) -> Notebook:
    """Put a module in IPython's place that answers `get_ipython` with a shell."""
    fake, module = Notebook(), ModuleType("IPython")
    module.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=fake.display))
    return fake


def test_a_live_image_and_a_line_are_updated(monkeypatch: pytest.MonkeyPatch, tiny: Tiny) -> None:
    monkeypatch.setattr(notebook, "REFRESH", 0)
    fake = ipython(monkeypatch, SimpleNamespace(kernel=object()))
    vqclip.show(vqclip.Session("cpu").generate(tiny()))
    images, lines = fake.shown
    assert len({image.tobytes() for image in images}) > 1
    assert "1/6" in repr(lines[0])
    assert "6/6" in repr(lines[-1])
    assert "1/6" not in repr(lines[-1])
    assert lines[-1]._repr_html_().startswith("<pre>")
    assert "loss" in lines[-1]._repr_html_()


@pytest.mark.parametrize("shell", [None, SimpleNamespace()])
def test_ipython_without_a_kernel_is_no_notebook(monkeypatch: pytest.MonkeyPatch, shell: Any) -> None:
    ipython(monkeypatch, shell)
    assert not notebook.in_notebook()


def test_ipython_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not notebook.in_notebook()
    assert "IPython" not in sys.modules


def test_events_and_results_are_shown_as_images(tiny: Tiny) -> None:
    for event in vqclip.Session("cpu").generate(tiny(steps=1)):
        if isinstance(event, Stepped):
            with Image.open(io.BytesIO(event._repr_png_())) as image:
                assert image.size == event.step.image.shape[:1:-1]
