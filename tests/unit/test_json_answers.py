"""The JSON answer to a send, while it is waited for."""

import asyncio
from collections.abc import AsyncGenerator

from api.answers.json_answer import Shown, json_answer
from api.wire.messages import MessageView
from o.domain.runs import EventKind, RunEvent


async def _pieces() -> AsyncGenerator[list[RunEvent], None]:
    """A reply that is written without a pause, and never ends."""
    seq = 0
    while True:
        seq += 1
        yield [RunEvent(run_id="run-1", seq=seq, attempt=1, kind=EventKind.DELTA, body={})]
        await asyncio.sleep(0.01)


async def test_a_client_that_has_hung_up_is_noticed_while_a_reply_is_being_written() -> None:
    async def is_gone() -> bool:
        return True

    answer = await asyncio.wait_for(
        json_answer(
            _pieces(), Shown(None, MessageView()), is_gone=is_gone, check_room=lambda: None
        ),
        5,
    )
    assert answer.status_code == 499
