"""The egress proxy itself: the connections of one sandbox, each with one request.

A refusal is an answer whose status line says why, since that line is all that clients show of a
tunnel which was refused.
"""

import asyncio
import logging
from contextlib import suppress

from o.call_tokens import Call
from o.errors import Unavailable
from o.outbound import AddressRefused
from sandbox.egress.api_door import ApiDoor
from sandbox.egress.dial import Dialer, Streams, closing
from sandbox.egress.head import MAX_HEAD_BYTES, BadRequest, Head, parse_head
from sandbox.egress.policy import API_HOST, Refusal, Rules
from sandbox.egress.relay import (
    Budget,
    NotHttp,
    OverBudget,
    carry_answer,
    carry_body,
    spell_head,
    tunnel,
)
from sandbox.protocol import Network

_log = logging.getLogger(__name__)

_AT_ONCE = 32
_IN_ALL = 1_000
_DIALS_AT_ONCE = 4
_MOST_BYTES = 100 * 1024 * 1024
_HEAD_S = 10.0
_LINGER_S = 2.0
_HOSTS = 100


class Connections:
    """What comes through one exit: for one job, with its limits."""

    MOST_AHEAD = MAX_HEAD_BYTES
    """Bytes that a reader takes ahead, and so the most that a head may have."""

    def __init__(self, rules: Rules, dialer: Dialer, api: ApiDoor) -> None:
        self._rules, self._dialer, self._api = rules, dialer, api
        self._network = Network()
        self._call: Call | None = None
        self._budget = Budget(_MOST_BYTES)
        self._hosts: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        # Slow names of one job are not to take all the threads that look names up.
        self._dialing = asyncio.Semaphore(_DIALS_AT_ONCE)

    def admit(self, network: Network, call: Call | None) -> None:
        """Take requests from now on; `call` is who asks the API, None where it may not."""
        self._network, self._call = network, call

    @property
    def hosts(self) -> tuple[str, ...]:
        """Which were asked for, with `-` before those refused; a hundred at most."""
        return tuple(self._hosts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a connection."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._count += 1
        self._tasks.add(task)
        try:
            async with closing((reader, writer)) as near:
                if len(self._tasks) > _AT_ONCE or self._count > _IN_ALL:
                    text = f"A tool has {_AT_ONCE} connections at once, and {_IN_ALL} in all"
                    await _refuse(near, Refusal(text, 429))
                else:
                    await self._serve(near)
        except* (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            _log.debug("a connection of a tool broke off")
        except* OverBudget:
            _log.info("a tool has carried as many bytes as it may")
        finally:
            self._tasks.discard(task)

    async def close(self) -> None:
        """End every connection."""
        self._network, self._call = Network(), None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near: Streams) -> None:
        head = await _read_head(near[0])
        if isinstance(head, Refusal):
            await _refuse(near, head)
        elif head.host == API_HOST:
            await self._serve_api(near, head)
        else:
            await self._serve_host(near, head)

    async def _serve_host(self, near: Streams, head: Head) -> None:
        far = self._rules.refusal(self._network, head) or await self._dial(head)
        self._note(head, refused=isinstance(far, Refusal) and far.status == 403)
        if isinstance(far, Refusal):
            await _refuse(near, far)
            return
        async with closing(far):
            if head.is_tunnel:
                near[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await tunnel(near, far, self._budget)
            else:
                await self._exchange(near, far, head, spell_head(head))

    async def _dial(self, head: Head) -> Streams | Refusal:
        try:
            async with self._dialing:
                return await self._dialer.connect(head.host, head.port)
        except AddressRefused:
            return Refusal(f"{head.place} is no public address, and tools reach only those")
        except TimeoutError:
            return Refusal(f"{head.place} does not answer", 504)
        except (OSError, UnicodeError):
            return Refusal(f"{head.place} is not found, or takes no connection", 502)

    async def _serve_api(self, near: Streams, head: Head) -> None:
        call = None if head.is_tunnel or head.port != 80 else self._call
        self._note(head, refused=call is None)
        if call is None:
            text = f"This tool may not use the API, which others find at http://{API_HOST}"
            await _refuse(near, Refusal(text))
            return
        try:
            bare, signature = self._api.signed(head, call)
            far = await self._api.connect()
        except (OSError, Unavailable):
            await _refuse(near, Refusal("The API does not answer", 502))
            return
        async with closing(far):
            spelled = spell_head(bare, self._api.host, signature)
            await self._exchange(near, far, head, spelled)

    async def _exchange(self, near: Streams, far: Streams, head: Head, spelled: bytes) -> None:
        """One request and its answer. Whichever way fails ends both."""
        far[1].write(spelled)
        answering = asyncio.create_task(carry_answer(far[0], near[1], self._budget))
        asking = asyncio.create_task(self._ask(near, far, head))
        try:
            await asyncio.wait({answering, asking}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done() or not asking.result():
                await answering
        except NotHttp:
            await _refuse(near, Refusal(f"{head.place} does not answer in HTTP", 502))
        finally:
            asking.cancel()
            answering.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)

    async def _ask(self, near: Streams, far: Streams, head: Head) -> bool:
        """Carry the body. Whether something follows it, which is nothing that was announced."""
        await carry_body(head, near[0], far[1], self._budget)
        return bool(await near[0].read(1))

    def _note(self, head: Head, *, refused: bool) -> None:
        if len(self._hosts) < _HOSTS:
            self._hosts[f"-{head.place}" if refused else head.place] = None


async def _read_head(reader: asyncio.StreamReader) -> Head | Refusal:
    try:
        async with asyncio.timeout(_HEAD_S):
            return parse_head(await reader.readuntil(b"\r\n\r\n"))
    except TimeoutError:
        return Refusal("The request did not come in time", 408)
    except asyncio.LimitOverrunError:
        return Refusal("The head of the request is too large", 431)
    except BadRequest as error:
        return Refusal(str(error), error.status)


async def _refuse(near: Streams, refusal: Refusal) -> None:
    """Answer, and take in for a moment what is still being sent, so that the answer is read."""
    reader, writer = near
    body = f"{refusal.text}.\n".encode()
    writer.write(
        f"HTTP/1.1 {refusal.status} {refusal.text}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            while await reader.read(MAX_HEAD_BYTES):
                pass
