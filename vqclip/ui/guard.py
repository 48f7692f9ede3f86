"""Refuse requests that don't come from this server's own page."""

import hmac
from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Let a request pass if its Host and Origin are this server's, and it carries the token.

    The token is in the address that the user opens. That page's answer puts it into a cookie and leads to the address
    without it. Programs send it as `Authorization: Bearer TOKEN`.
    """

    def __init__(self, app: ASGIApp, token: str, port: int):
        self.app, self.token = app, token
        self.cookie = f"vqclip-{port}"  # cookies don't tell ports apart
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None  # the connection ends
        answer = self._answer(Request(scope))
        await (answer or self._with_headers(self.app))(scope, receive, send)
        return None

    def _answer(self, request: Request) -> Response | None:
        """Give the refusal of a request, or the redirection of one with the token in its address; None lets it pass."""
        if request.headers.get("host") not in self.hosts:
            return _refusal(421, "this server answers on 127.0.0.1 only")
        if not self.origins.issuperset(request.headers.getlist("origin")):
            return _refusal(403, "this request comes from another page")
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return _refusal(
                403, "this request comes from another page; type the address into the browser yourself"
            )
        if request.url.path == "/" and self._is_token(request.query_params.get("token", "")):
            answer = RedirectResponse("/", 303, HEADERS | {"Cache-Control": "no-store"})
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
            return answer
        if not self._is_token(self._carried(request)):
            return _refusal(401, "open the address that vqclip ui printed: its token is missing or wrong")
        return None

    def _carried(self, request: Request) -> str:
        """Give the token that a request carries, or an empty text."""
        header = request.headers.get("authorization", "")
        if header.startswith("Bearer "):
            return header.removeprefix("Bearer ")
        try:
            cookies = SimpleCookie(request.headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[self.cookie].value if self.cookie in cookies else ""

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _with_headers(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async def headed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], *_ENCODED]
                await send(message)

            await app(scope, receive, headed)

        return answer


_ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


def _refusal(status: int, reason: str) -> Response:
    return PlainTextResponse(reason + "\n", status, HEADERS)
