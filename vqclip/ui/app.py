"""Answer the page's requests. Every answer comes from the Queue or the Library; nothing is rendered here."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from vqclip.base import seeds
from vqclip.base.errors import ImageError, RunError, UsageError, VqclipError
from vqclip.config import resolve as configs
from vqclip.gallery.page import build
from vqclip.runs.run import origin, read_config
from vqclip.ui.guard import Guard
from vqclip.ui.library import Library
from vqclip.ui.queue import Queue, Task
from vqclip.ui.requests import LARGEST_UPLOAD, config_of, save_upload

PAGE = Path(__file__).with_name("page")
LARGEST_REQUEST = 2**20  # bytes
FRESH = {"Cache-Control": "no-store"}


def make_app(queue: Queue, library: Library, token: str, port: int) -> Guard:
    """Make the application that serves a Queue and a Library on a port, for those who have the token."""
    answers = _Answers(queue, library)
    routes = [
        Route("/", answers.page),
        Route("/api/gallery", answers.gallery),
        Route("/api/tasks", answers.tasks),
        Route("/api/tasks", answers.generate, methods=["POST"]),
        Route("/api/tasks/{task}/stop", answers.stop, methods=["POST"]),
        Route("/api/tasks/{task}/preview", answers.preview),
        Route("/api/runs/{run}/resume", answers.resume, methods=["POST"]),
        Route("/api/runs/{run}/vary", answers.vary, methods=["POST"]),
        Route("/api/images", answers.upload, methods=["POST"]),
        Route("/thumbnails/{name}", answers.thumbnail),
        Route("/files/{run}/{name}", answers.file),
    ]
    app = Starlette(routes=routes, exception_handlers={VqclipError: _error, ClientDisconnect: _gone})
    return Guard(app, token, port)


class _Answers:
    """Answer requests. What reads files is plain, so that it runs in a thread of the server's."""

    def __init__(self, queue: Queue, library: Library):
        self.queue, self.library = queue, library

    def page(self, request: Request) -> Response:
        data = {"base": {}, "runs": [], "presets": configs.presets(), "runs_folder": str(self.library.runs)}
        panel = (PAGE / "panel.html").read_text(encoding="utf-8")
        return HTMLResponse(
            build(data, panel=panel, styles=[PAGE / "ui.css"], programs=[PAGE / "ui.js"]), headers=FRESH
        )

    def gallery(self, request: Request) -> Response:
        return JSONResponse(self.library.page(), headers=FRESH)

    async def tasks(self, request: Request) -> Response:
        return JSONResponse({"tasks": [task.to_dict() for task in self.queue.tasks]}, headers=FRESH)

    async def generate(self, request: Request) -> Response:
        config = config_of(await _body(request, LARGEST_REQUEST), self.library.runs)
        return _queued(self.queue.generate(config))

    async def stop(self, request: Request) -> Response:
        return _queued(_found(self.queue.stop(request.path_params["task"]), "task"))

    async def preview(self, request: Request) -> Response:
        task = _found(self.queue.find(request.path_params["task"]), "task")
        return Response(_found(task.preview or None, "image"), media_type="image/jpeg", headers=FRESH)

    def resume(self, request: Request) -> Response:
        folder = _found(self.library.folder(request.path_params["run"]), "run")
        if self.queue.is_busy_with(folder):
            raise RunError(f"{folder} is in the queue already")
        return _queued(self.queue.resume(folder, read_config(folder)))

    def vary(self, request: Request) -> Response:
        folder = _found(self.library.folder(request.path_params["run"]), "run")
        config = replace(read_config(folder), seed=seeds.draw())
        if config.init:
            config = replace(config, init=str(origin(folder) / config.init))
        return _queued(self.queue.generate(config))

    async def upload(self, request: Request) -> Response:
        data = await _body(request, LARGEST_UPLOAD)
        return JSONResponse({"name": save_upload(data, self.library.runs)}, 201)

    def thumbnail(self, request: Request) -> Response:
        return FileResponse(
            _found(self.library.thumbnail(request.path_params["name"]), "image"), headers=_REVALIDATED
        )

    def file(self, request: Request) -> Response:
        path = self.library.file(request.path_params["run"], request.path_params["name"])
        return FileResponse(_found(path, "file"), headers=_REVALIDATED)


_REVALIDATED = {"Cache-Control": "no-cache"}


def _queued(task: Task) -> Response:
    return JSONResponse(task.to_dict(), 201)


Thing = TypeVar("Thing")


def _found(thing: Thing | None, kind: str) -> Thing:
    if thing is None:
        raise HTTPException(404, f"there is no such {kind}")
    return thing


async def _body(request: Request, most: int) -> bytes:
    """Read a request's body, and refuse it as soon as it has more than `most` bytes."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise _TooLargeError(f"this is larger than {most // 2**20} MiB, the most that is read")
    return bytes(data)


class _TooLargeError(UsageError):
    pass


def _gone(request: Request, error: Exception) -> Response:
    """Answer nobody: the client left in the middle of its request."""
    return Response(status_code=400)


def _error(request: Request, error: Exception) -> Response:
    statuses: list[tuple[type[Exception], int]] = [(_TooLargeError, 413), (ImageError, 415), (RunError, 409)]
    status = next((number for kind, number in statuses if isinstance(error, kind)), 400)
    return JSONResponse({"error": str(error)}, status)
