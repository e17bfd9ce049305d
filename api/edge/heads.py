"""HEAD, which monitors and load balancers ask with: the answer of GET without its body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Has every route that answers GET answer HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask as GET, and keep the body back."""

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self._app(dict(scope) | {"method": "GET"}, receive, send_head)
        else:
            await self._app(scope, receive, send)
