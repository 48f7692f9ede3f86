"""The server of the page: who may ask, what it renders, and that nothing is lost."""

import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from conftest import Tiny, Vqclip
from PIL import Image
from sample_runs import make_run

from vqclip.base.errors import UsageError, VqclipError
from vqclip.config import resolve as configs
from vqclip.gallery.find import run_id
from vqclip.pipeline.events import result
from vqclip.runs.run import read_config
from vqclip.session import Session

pytest.importorskip("uvicorn", reason="needs vqclip[ui]")
pytest.importorskip("starlette", reason="needs vqclip[ui]")

from ui_server import Client, ended, serving

from vqclip.ui.requests import LARGEST_UPLOAD, config_of, save_upload
from vqclip.ui.server import Server


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tiny: Tiny) -> Iterator[Client]:
    with serving(monkeypatch, tiny) as client:
        yield client


def png(size: tuple[int, int] = (20, 12)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, "teal").save(data, format="PNG")
    return data.getvalue()


PATHS = ["/", "/api/gallery", "/api/tasks", "/thumbnails/0123456789ab.webp", "/files/0123456789ab/image.png"]
POSTS = ["/api/tasks", "/api/tasks/1/stop", "/api/runs/0123456789ab/resume", "/api/images"]


def test_nothing_is_answered_without_the_token(client: Client) -> None:
    for path in PATHS:
        assert client.ask(path, with_token=False)[0] == 401
        assert client.ask(path, headers={"Authorization": "Bearer wrong"})[0] == 401
        assert client.ask(path, headers={"Cookie": f"vqclip-{client.port}=wrong"}, with_token=False)[0] == 401
    for path in POSTS:
        assert client.ask(path, b"{}", with_token=False)[0] == 401
    assert client.ask("/?token=wrong", with_token=False)[0] == 401
    assert client.ask("/?token=%ff%00", with_token=False)[0] == 401
    assert not Path("runs/uploads").exists()


def test_the_address_gives_a_cookie_and_leads_to_the_page(client: Client) -> None:
    status, headers, _ = client.ask(f"/?token={client.token}", with_token=False)
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    status, headers, page = client.ask("/", headers={"Cookie": cookie.split(";")[0]}, with_token=False)
    assert status == 200
    assert client.token.encode() not in page
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_is_refused(client: Client, host: str) -> None:
    """A page elsewhere can let its own name lead to 127.0.0.1, but then it names itself."""
    assert client.ask("/api/tasks", headers={"Host": host})[0] in (400, 421)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", ""]
)
def test_another_origin_is_refused(client: Client, origin: str) -> None:
    for body in (None, b"{}"):
        assert client.ask("/api/tasks", body, {"Origin": origin})[0] == 403
    assert client.ask("/api/tasks", headers={"Origin": client.netloc})[0] == 403  # no scheme, no origin
    assert client.ask("/api/tasks", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert client.ask("/api/tasks", headers={"Origin": f"http://{client.netloc}"})[0] == 200


def raw(client: Client, request: str, body: bytes = b"", *, ends: bool = True) -> bytes:
    """Write a request as it is, with Host and token, and give the answer; without `ends`, hang up at once."""
    lines = f"{request}\r\nHost: {client.netloc}\r\nAuthorization: Bearer {client.token}\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(lines.encode() + b"Connection: close\r\n\r\n" + body)
        return b"".join(iter(lambda: connection.recv(65536), b"")) if ends else b""


@pytest.mark.parametrize(
    "request_", [
        "GET /api/tasks HTTP/1.1\r\nHost: evil.example",
        "GET /api/tasks HTTP/1.1\r\nOrigin: http://{netloc}\r\nOrigin: http://evil.example",
        "GET http://evil.example/api/tasks HTTP/1.1",
        "GET //evil.example/api/tasks HTTP/1.1",
        "OPTIONS /api/tasks HTTP/1.1\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST",
        "TRACE /api/tasks HTTP/1.1",
        "CONNECT /api/tasks HTTP/1.1",
        "POST /api/tasks HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 5",
        "POST /api/tasks HTTP/1.1\r\nContent-Length: -1",
        "GET /files/../../secret HTTP/1.1",
        "GET /\0 HTTP/1.1",
    ],
)  # fmt: skip
def test_smuggled_and_odd_requests_are_refused(client: Client, request_: str) -> None:
    """No answer allows another page to read it, and none is the list of tasks."""
    answer = raw(client, request_.format(netloc=client.netloc))
    assert answer.split()[1][:1] == b"4"
    assert b"access-control-allow" not in answer.lower()


def test_clients_that_hang_up_leave_no_traceback(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    for path in ("/api/images", "/api/tasks"):
        raw(client, f"POST {path} HTTP/1.1\r\nContent-Length: 1000", b"x", ends=False)
        raw(client, f"POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked", b"ffffffffff\r\nx", ends=False)
    assert client.ask("/api/tasks")[0] == 200
    assert capfd.readouterr().err == ""


def test_slow_bodies_keep_nobody_waiting(client: Client) -> None:
    slow = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(50)]
    for connection in slow:
        connection.sendall(
            f"POST /api/images HTTP/1.1\r\nHost: {client.netloc}\r\nAuthorization: Bearer {client.token}\r\n"
            "Content-Length: 1000000\r\n\r\nx".encode()
        )
    assert client.ask("/api/gallery")[0] == 200
    for connection in slow:
        connection.close()


@pytest.mark.parametrize(
    "name",
    ["../config.yaml", "..%2fconfig.yaml", "%2e%2e%2f%2e%2e%2fsecret", "config.yaml", "lock", "", ".", "%00"],
)
def test_paths_lead_to_images_and_videos_alone(client: Client, name: str) -> None:
    folder = make_run(Path("runs"), "an owl")
    Path("secret").write_text("secret")
    (folder / "secret").write_text("secret")
    for path in (
        f"/files/{run_id(folder)}/{name}",
        f"/thumbnails/{name}",
        f"/files/../{name}",
        f"/{name}secret",
    ):
        assert client.ask(path)[0] in (307, 404)
    assert client.ask(f"/files/{run_id(folder)}/image.png")[0] == 200


@pytest.mark.parametrize("data", [b"", b"no image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", png()[:60]])
def test_uploads_that_are_no_images_are_refused(client: Client, data: bytes) -> None:
    status, _, answer = client.ask("/api/images", data)
    assert status == 415
    assert len(json.loads(answer)["error"].splitlines()) == 1
    assert not list(Path("runs").rglob("*.*"))


def test_uploads_that_are_too_large_are_refused(client: Client) -> None:
    assert client.ask("/api/images", b"\0" * (LARGEST_UPLOAD + 1))[0] == 413
    assert client.ask("/api/images", png((9000, 9000)))[0] == 415
    assert client.ask("/api/tasks", b" " * (2**20 + 1))[0] == 413


def test_an_upload_becomes_the_start_image(client: Client) -> None:
    name = json.loads(client.ask("/api/images", png())[2])["name"]
    task = client.wait(client.generate("an owl", init=name, seed=3)["id"], ended)
    assert task["state"] == "finished"
    (folder,) = Path("runs").glob("*-an-owl-*")
    assert read_config(folder).init == f"runs/uploads/{name}.png"


def test_what_the_queue_makes_is_what_a_session_makes(client: Client, tiny: Tiny) -> None:
    task = client.wait(client.generate("an owl", seed=5, steps=8)["id"], ended)
    assert (task["state"], task["done"], task["seed"]) == ("finished", 8, "5")
    (run,) = client.json("/api/gallery")["runs"]
    status, headers, data = client.ask("/" + run["image"])
    assert (status, headers["content-type"]) == (200, "image/png")
    expected = result(Session("cpu").generate(tiny(prompts=["an owl"], seed=5, steps=8))).image
    assert Image.open(io.BytesIO(data)).convert("RGB").tobytes() == expected.tobytes()
    assert client.ask("/" + run["thumb"])[0] == 200


def test_a_stopped_run_goes_on_to_the_same_image(client: Client, tiny: Tiny) -> None:
    task = client.generate("an owl", seed=5, steps=150)
    client.wait(task["id"], lambda task: task["done"] > 3)
    client.json(f"/api/tasks/{task['id']}/stop", {})
    stopped = client.wait(task["id"], ended)
    assert stopped["state"] == "stopped"
    assert 0 < stopped["done"] < 150
    (run,) = client.json("/api/gallery")["runs"]
    assert not run["finished"]
    again = client.wait(client.json(f"/api/runs/{run['id']}/resume", {})["id"], ended)
    assert (again["state"], again["done"]) == ("finished", 150)
    expected = result(Session("cpu").generate(tiny(prompts=["an owl"], seed=5, steps=150))).image
    with Image.open(next(Path("runs").glob("*/image.png"))) as image:
        assert image.convert("RGB").tobytes() == expected.tobytes()


def test_the_image_grows_and_has_losses(client: Client) -> None:
    task = client.generate("an owl", steps=200)
    seen = client.wait(task["id"], lambda task: task["version"] > 0)
    status, headers, data = client.ask(f"/api/tasks/{task['id']}/preview")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(data)).format == "JPEG"
    assert len(seen["curve"]) > 1
    assert len({len(column) for column in seen["curve"].values()}) == 1


def test_a_waiting_task_can_be_removed(client: Client) -> None:
    first, second = client.generate("an owl", steps=300), client.generate("a fox")
    assert client.json(f"/api/tasks/{second['id']}/stop", {})["state"] == "stopped"
    client.json(f"/api/tasks/{first['id']}/stop", {})
    client.wait(first["id"], ended)
    assert not list(Path("runs").glob("*-a-fox-*"))


def test_varying_changes_the_seed_alone(client: Client) -> None:
    client.wait(client.generate("an owl", seed=5)["id"], ended)
    (first,) = client.json("/api/gallery")["runs"]
    client.wait(client.json(f"/api/runs/{first['id']}/vary", {})["id"], ended)
    one, other = (configs.to_dict(read_config(path)) for path in sorted(Path("runs").glob("*-an-owl-*")))
    assert {key for key in one if one[key] != other[key]} == {"seed"}


def test_200_requests_at_once_dont_stop_a_run(client: Client, tiny: Tiny) -> None:
    task = client.generate("an owl", seed=5, steps=80)
    client.wait(task["id"], lambda task: task["done"] > 0)
    paths = ["/", "/api/tasks", "/api/gallery", f"/api/tasks/{task['id']}/preview", "/files/x/image.png"] * 40
    with ThreadPoolExecutor(200) as pool:
        statuses = list(pool.map(lambda path: client.ask(path)[0], paths))
    assert set(statuses) == {200, 404}
    assert client.wait(task["id"], ended)["state"] == "finished"
    expected = result(Session("cpu").generate(tiny(prompts=["an owl"], seed=5, steps=80))).image
    with Image.open(next(Path("runs").glob("*/image.png"))) as image:
        assert image.convert("RGB").tobytes() == expected.tobytes()


def test_a_task_that_fails_says_why_and_the_next_one_runs(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise VqclipError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(client.server.queue.session, "generate", broken)
        failed = client.wait(client.generate("an owl")["id"], ended)
    assert (failed["state"], failed["message"]) == ("failed", "the disk is full")
    assert client.wait(client.generate("an owl")["id"], ended)["state"] == "finished"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"nonsense", "JSON"),
        (b'{"prompts":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "object"),
        (b'{"prompts": []}', "lighthouse"),
        (b'{"prompts": [{"text": " "}]}', "lighthouse"),
        (b'{"prompts": [{"text": ["an owl"]}]}', "lighthouse"),
        (b'{"prompts": [{"text": null}]}', "lighthouse"),
        (b'{"prompts": [{"text": "an owl", "weight": "x"}]}', "weight"),
        (b'{"prompts": [{"text": "an owl"}], "size": "big"}', "size"),
        (b'{"prompts": [{"text": "an owl"}], "steps": "many"}', "steps"),
        (b'{"prompts": [{"text": "an owl"}], "preset": "nope"}', "preset"),
        (b'{"prompts": [{"text": "an owl"}], "init": "../../etc/passwd"}', "uploaded"),
        (b'{"prompts": [{"text": "an owl"}], "device": "cuda"}', "device"),
    ],
)
def test_wrong_requests_are_answered_in_one_line(client: Client, body: bytes, word: str) -> None:
    status, _, answer = client.ask("/api/tasks", body)
    assert status in (400, 415)
    error = json.loads(answer)["error"]
    assert word in error
    assert len(error.splitlines()) == 1
    assert client.json("/api/tasks")["tasks"] == []


def test_weights_become_part_of_the_prompts() -> None:
    body = {
        "prompts": [{"text": "an owl | a fox:2", "weight": 1}, {"text": "a text: 5 | more", "weight": -0.5}]
    }
    config = config_of(json.dumps(body).encode(), Path("runs"))
    assert [(p.body, p.weight) for p in config.parsed_prompts] == [
        ("an owl", 1.0), ("a fox", 2.0), ("a text: 5 | more", -0.5)
    ]  # fmt: skip


def test_the_same_upload_is_saved_once() -> None:
    assert save_upload(png(), Path("runs")) == save_upload(png(), Path("runs"))
    assert len(list(Path("runs/uploads").iterdir())) == 1


def test_closing_stops_the_run_which_can_go_on(monkeypatch: pytest.MonkeyPatch, tiny: Tiny) -> None:
    with serving(monkeypatch, tiny) as client:
        task = client.generate("an owl", seed=5, steps=400)
        client.generate("a fox")
        client.wait(task["id"], lambda task: task["done"] > 0)
    (folder,) = Path("runs").glob("*-an-owl-*")
    assert (folder / "snapshot.safetensors").is_file()
    assert not (folder / "painting.json").exists()


def test_a_port_that_is_taken_is_one_line(client: Client) -> None:
    with pytest.raises(UsageError, match=f"--port {client.port}: .*choose another"):
        Server(client.server.queue.session, Path("runs"), client.port)


def test_without_the_extra_one_line_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, vqclip: Vqclip
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = vqclip("ui")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "vqclip: vqclip ui needs starlette and uvicorn; type: pip install 'vqclip[ui]'"
    ]


def test_the_command_prints_its_address_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vqclip", "ui", "--device", "cpu", "--runs", str(tmp_path / "runs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        with build_opener(HTTPCookieProcessor()).open(address, timeout=60) as answer:
            assert answer.status == 200
        process.send_signal(2)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
