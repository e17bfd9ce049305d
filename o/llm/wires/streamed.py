"""A reply of which pieces are still coming, passed on and put together."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from o.domain.llm import DeltaSink, ModelReply, ReplyDelta
from o.domain.runs import Usage
from o.errors import ModelError
from o.llm.bounds import MAX_REPLY_BYTES, ReplyOutOfBounds
from o.llm.wires.added import Added
from o.llm.wires.chat import (
    Call,
    Completion,
    Said,
    refuse_beyond,
    refuse_unreadable,
    short,
)
from o.llm.wires.growing_call import GrowingCall
from o.llm.wires.tokens import joined, usage_of

_AFTER_FINISH_S = 3.0
"""How long the end of a stream, which tells its tokens, is waited for once the reply is whole:
from the last piece on that adds to the reply, whatever else comes."""

_AFTER_NOTHING_S = 30.0
"""The same where nothing was said or called yet: some give a reason when thinking has ended."""

_PIECE_CHARS = 32_768


async def streamed_reply(chunks: AsyncIterator[Completion], on_delta: DeltaSink) -> ModelReply:
    """Pass the pieces on while they come, and put them together.

    Raises:
        ModelError: The stream ended before the reply did, or the reply is out of bounds.
        ReplyOutOfBounds: It is too long in all.
    """
    reply = _Growing()
    until: float | None = None
    while True:
        try:
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except (TimeoutError, ModelError):
            if not reply.is_finished:
                raise
            break  # the reply stands, however the connection ends
        deltas = reply.add(chunk)
        for delta in deltas:
            for piece in _cut(delta):
                await on_delta(piece)
        if reply.is_finished and (deltas or until is None):
            wait_s = _AFTER_FINISH_S if reply.says_something else _AFTER_NOTHING_S
            until = asyncio.get_running_loop().time() + wait_s
    whole = refuse_unreadable(reply.whole())
    for delta in reply.held_back():
        for piece in _cut(delta):
            await on_delta(piece)
    return whole


async def nowhere(delta: ReplyDelta) -> None:
    """Drop a piece: for a stream that nobody follows."""


async def told_whole(reply: ModelReply, on_delta: DeltaSink) -> ModelReply:
    """Pass on a reply that came at once although it was to be streamed."""
    deltas = [ReplyDelta(kind="reasoning", text=reply.reasoning)] if reply.reasoning else []
    deltas += [ReplyDelta(kind="redacted", text=data) for data in reply.redacted_reasoning]
    deltas += [ReplyDelta(kind="text", text=reply.text)] if reply.text else []
    deltas += [
        ReplyDelta(
            kind="tool_call", call=n, tool_call_id=call.id, name=call.name, text=call.arguments
        )
        for n, call in enumerate(reply.tool_calls)
    ]
    for delta in deltas:
        for piece in _cut(delta):
            await on_delta(piece)
    return reply


def _cut(delta: ReplyDelta) -> Iterator[ReplyDelta]:
    """A piece in parts that are quickly dealt with; those of one call name it once."""
    if len(delta.text) <= _PIECE_CHARS or delta.kind == "redacted":
        yield delta
        return
    for at in range(0, len(delta.text), _PIECE_CHARS):
        update: dict[str, object] = {"text": delta.text[at : at + _PIECE_CHARS]}
        if at:
            update |= {"tool_call_id": None, "name": None}
        yield delta.model_copy(update=update)


class _Growing:
    """A reply of which pieces are still coming."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._signature: str | None = None
        self._redacted: list[str] = []
        self._calls: list[GrowingCall] = []
        self._added = Added()
        self._thought_in = ""
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._chars = 0

    @property
    def is_finished(self) -> bool:
        """Whether the reply is whole, though more may be said about it."""
        return self._finish_reason is not None

    @property
    def says_something(self) -> bool:
        """Whether there is a text or a call."""
        return bool(self._text or self._calls)

    def add(self, chunk: Completion) -> list[ReplyDelta]:
        """Take a chunk; answers the pieces in it, in V1's order."""
        if (tokens := chunk.tokens) is not None:
            self._usage = joined(self._usage, usage_of(tokens))
        if chunk.is_last:
            self._finish_reason = self._finish_reason or "stop"
        choice = chunk.choice
        if choice is None:
            return []
        self._finish_reason = choice.finish_reason or self._finish_reason
        if choice.delta is None and choice.message is not None:
            return self._take(choice.message, self._news_in(choice.message.text), is_whole=True)
        said = choice.delta or choice.said or Said()
        return self._take(said, said.text)

    def _news_in(self, text: str) -> str:
        """What is new in the text of a message that comes in place of a piece.

        Some servers end a stream so, with all that was said; some say all of it each time, and some
        only call the piece a message.
        """
        so_far = "".join(self._text)
        return text.removeprefix(so_far) if text.startswith(so_far) else text

    def _take(self, said: Said, text: str, *, is_whole: bool = False) -> list[ReplyDelta]:
        self._count(said, text)
        self._signature = said.signature or self._signature
        if not self._thought_in or (said.thought and not self._reasoning):
            self._thought_in = said.thought_in
        if not (is_whole and self._added.is_any):
            self._added.add(said.added)
        deltas = []
        if not (is_whole and self._redacted):
            self._redacted += said.redacted
            deltas = [ReplyDelta(kind="redacted", text=data) for data in said.redacted]
        if said.thought and not (is_whole and self._reasoning):
            self._reasoning.append(said.thought)
            deltas.append(ReplyDelta(kind="reasoning", text=said.thought))
        if text:
            self._text.append(text)
            deltas.append(ReplyDelta(kind="text", text=text))
        for piece in [] if is_whole and self._calls else said.calls:
            call = self._call_of(piece)
            if (delta := call.add(piece)) is not None:
                deltas.append(delta)
            refuse_beyond(len(self._calls), call.name, call.id)
        return deltas

    def held_back(self) -> list[ReplyDelta]:
        """What is told only when the stream has ended."""
        return [delta for call in self._calls if (delta := call.held_back()) is not None]

    def whole(self) -> ModelReply:
        """The reply, when the stream has ended."""
        if self._finish_reason is None:
            raise ModelError(
                "llm_error", "The provider's stream ended before its reply.", retryable=True
            )
        return ModelReply(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            reasoning_signature=self._signature,
            redacted_reasoning=self._redacted,
            tool_calls=[call.whole() for call in self._calls],
            finish_reason=short(self._finish_reason),
            usage=self._usage,
            extras=self._added.whole(),
            call_extras=[call.added.whole() for call in self._calls],
            thought_in=self._thought_in,
        )

    def _call_of(self, piece: Call) -> GrowingCall:
        """The call that a piece belongs to, which it may begin.

        Providers differ in what tells calls apart: the index, the id (with one index for all, or
        none), or a name at the head of each.
        """
        here = [call for call in self._calls if piece.index in (None, call.index)]
        known = next((call for call in here if piece.id and call.id == piece.id), None)
        call = known or (here[-1] if here else None)
        if call is None or not call.goes_on_with(piece):
            call = GrowingCall(len(self._calls), piece.id or "", piece.index)
            self._calls.append(call)
        return call

    def _count(self, said: Said, text: str) -> None:
        """Give up at once what has grown out of bounds; it may have no end."""
        self._chars += len(said.thought) + len(text)
        self._chars += sum(len(call.function.arguments or "") for call in said.calls)
        self._chars += sum(map(len, said.redacted))
        if self._chars > MAX_REPLY_BYTES:
            raise ReplyOutOfBounds
