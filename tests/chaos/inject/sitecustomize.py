"""Kill points, put into O's processes from outside: this folder is on their PYTHONPATH.

Python imports this file at the start of every process; it does something only in workers and in
the API, and only where `O_TEST_POINTS` names a folder. A file `<point>.armed` there arms a point:
the first process that comes by renames it to `<point>.reached`, writes its pid into it, and waits
for it to be removed. The product knows nothing of this.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

_FOLDER = os.environ.get("O_TEST_POINTS")


async def _pass(point: str) -> None:
    """Stop here if the point is armed, without blocking the event loop."""
    armed, reached = Path(f"{_FOLDER}/{point}.armed"), Path(f"{_FOLDER}/{point}.reached")
    try:
        armed.rename(reached)
    except FileNotFoundError:
        return
    reached.write_text(str(os.getpid()))
    while reached.exists():
        await asyncio.sleep(0.005)


def _into_worker() -> None:
    """Points behind the commit of a step or tool call and before Temporal is told."""
    from temporalio import worker

    class Inbound(worker.ActivityInboundInterceptor):
        async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
            result = await self.next.execute_activity(input)
            argument = input.args[0]
            name = {"take_step": "step", "run_tool": "tool", "close_run": "close"}[
                input.fn.__name__
            ]
            place = getattr(argument, "index", getattr(argument, "step_index", 0))
            await _pass(f"{name}-committed-{place}")
            return result

    class Points(worker.Interceptor):
        def intercept_activity(
            self, next: worker.ActivityInboundInterceptor
        ) -> worker.ActivityInboundInterceptor:
            return Inbound(next)

    original = worker.Worker.__init__

    def init(self: worker.Worker, *args: Any, **kwargs: Any) -> None:
        kwargs["interceptors"] = [*kwargs.get("interceptors", ()), Points()]
        original(self, *args, **kwargs)

    worker.Worker.__init__ = init  # type: ignore[method-assign]


def _into_api() -> None:
    """Points before the conversation is told of a run, and before its client gets the answer."""
    import fastapi
    from temporalio import client

    tell = client.Client.execute_update_with_start_workflow

    async def tell_later(self: Any, *args: Any, **kwargs: Any) -> Any:
        await _pass("run-stored")
        return await tell(self, *args, **kwargs)

    client.Client.execute_update_with_start_workflow = tell_later  # type: ignore

    serve = fastapi.FastAPI.__call__

    async def serve_later(self: Any, scope: Any, receive: Any, send: Any) -> None:
        async def send_later(message: Any) -> None:
            is_answer = message["type"] == "http.response.start"
            if is_answer and scope["method"] == "POST" and scope["path"].endswith("/messages"):
                await _pass("run-closed")
            await send(message)

        await serve(self, scope, receive, send_later)

    fastapi.FastAPI.__call__ = serve_later  # type: ignore[method-assign]


if _FOLDER and "o.cli" in sys.orig_argv:
    if sys.orig_argv[-1] == "worker":
        _into_worker()
    elif sys.orig_argv[-1] == "api":
        _into_api()
