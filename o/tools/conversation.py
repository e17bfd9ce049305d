"""The built-in tool by which an agent of the legacy loop speaks."""

from o.domain.llm import ToolSpec
from o.domain.loops import SEND_MESSAGE
from o.memory.legacy_events import SENT
from o.tools.tool import Arguments, BuiltIn, Caller, Tool, schema, string

_SEND = ToolSpec(
    name=SEND_MESSAGE,
    description="Say something to the person you talk with. They read nothing else of what you do.",
    parameters=schema({"message": string("What they read.")}, ["message"]),
)


class SendArguments(Arguments):
    """Arguments of `send_message`."""

    message: str


async def _send(caller: Caller, arguments: SendArguments) -> str:
    """The call itself is what the client is shown, so there is nothing to do."""
    return SENT


SEND: Tool = BuiltIn(_SEND, SendArguments, _send)
