"""A server of the page on this machine, whose requests are rendered by the tiny models."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import Tiny

from vqclip.config.resolve import resolve
from vqclip.config.schema import Config
from vqclip.session import Session
from vqclip.ui.server import Server

Answer = tuple[int, dict[str, str], bytes]


class Client:
    """Ask a server; by default with its token, and as its own page does."""

    def __init__(self, server: Server):
        self.server, parts = server, urlsplit(server.address)
        self.netloc, self.port = parts.netloc, parts.port
        self.token = parse_qs(parts.query)["token"][0]

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        with_token: bool = True,
    ) -> Answer:
        """Ask for exactly this path: nothing in it is normalised."""
        sent = {"Host": self.netloc} | ({"Authorization": f"Bearer {self.token}"} if with_token else {})
        sent |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
            for name, value in (sent | ({} if body is None else {"Content-Length": str(len(body))})).items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str, body: Any = None) -> Any:
        """Ask for JSON, and check that the answer is no error."""
        status, _, data = self.ask(path, None if body is None else json.dumps(body).encode())
        assert status < 300, data
        return json.loads(data)

    def generate(self, prompt: str, **keys: Any) -> dict[str, Any]:
        return dict(self.json("/api/tasks", {"prompts": [{"text": prompt, "weight": 1}], **keys}))

    def task(self, name: str) -> dict[str, Any]:
        return next(task for task in self.json("/api/tasks")["tasks"] if task["id"] == name)

    def wait(self, name: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a task is as it should be; fails after a minute."""
        for _ in range(1200):
            if until(task := self.task(name)):
                return task
            time.sleep(0.05)
        pytest.fail(f"the task stays as it is: {task}")


def ended(task: dict[str, Any]) -> bool:
    return task["state"] in ("finished", "stopped", "failed")


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, tiny: Tiny, runs: Path = Path("runs")) -> Iterator[Client]:
    """Serve a folder of runs; requests get the tiny models, and their own prompts, seed, steps and start image."""

    def shrunk(values: dict[str, Any], preset: str | None = None) -> Config:
        whole = resolve(values, preset=preset)
        return tiny(prompts=whole.prompts, seed=whole.seed, steps=whole.steps, init=whole.init)

    monkeypatch.setattr("vqclip.ui.requests.resolve", shrunk)
    server = Server(Session("cpu"), runs)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Client(server)
    finally:
        server.stop()
        thread.join()
