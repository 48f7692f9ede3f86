"""Serve the page on 127.0.0.1 until the process is asked to end."""

import secrets
import socket
from pathlib import Path
from typing import Any

from vqclip.base.errors import UsageError, VqclipError, cause
from vqclip.runs.run import check_parent
from vqclip.session import Session

HOST = "127.0.0.1"


class Server:
    """Serve the runs in a folder, and a queue that adds to them. `address` has the token in it."""

    def __init__(self, session: Session, runs: Path, port: int = 0):
        """Listen on a port, or on a free one if it is 0. Raises VqclipError, also where starlette is missing."""
        uvicorn = _uvicorn()
        from vqclip.ui.app import make_app  # noqa: PLC0415  # it needs starlette
        from vqclip.ui.library import Library  # noqa: PLC0415
        from vqclip.ui.queue import Queue  # noqa: PLC0415

        check_parent(runs)
        self.socket = _listen(port)
        port, token = self.socket.getsockname()[1], secrets.token_urlsafe(24)
        self.address = f"http://{HOST}:{port}/?token={token}"
        self.queue = Queue(session, runs)
        app = make_app(self.queue, Library(runs), token, port)
        config = uvicorn.Config(
            app, log_level="error", access_log=False, lifespan="off", server_header=False, ws="none",
            timeout_graceful_shutdown=2, proxy_headers=False,
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    def run(self) -> int:
        """Serve until SIGINT, SIGTERM or `stop`; then stop the running task, and give how many tasks were dropped."""
        with self.socket:
            try:
                self.queue.start()
                self._server.run(sockets=[self.socket])
            except KeyboardInterrupt:  # uvicorn ends as it was asked to, and passes the signal on
                pass
            finally:
                dropped = self.queue.close()
        return dropped

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._server.should_exit = True


def _uvicorn() -> Any:
    try:
        import starlette  # noqa: F401, PLC0415
        import uvicorn  # noqa: PLC0415
    except ImportError:
        raise VqclipError("vqclip ui needs starlette and uvicorn; type: pip install 'vqclip[ui]'") from None
    return uvicorn


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(512)  # now, so that the printed address answers as soon as it is printed
    except (OSError, OverflowError) as error:
        listening.close()
        why = cause(error) if isinstance(error, OSError) else str(error)
        raise UsageError(f"--port {port}: {why}; choose another, or leave it out for a free one") from None
    return listening
