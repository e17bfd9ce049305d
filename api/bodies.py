"""Bodies as answers: written to JSON once, by the code that made them.

Routes give their model to FastAPI for the documentation only (`response_model`) and return what
these functions make: FastAPI would otherwise check and write every body a second time.
"""

from collections.abc import Sequence

from fastapi import Response
from pydantic import BaseModel
from pydantic_core import to_json

from api.wire.blocks import BlockBody
from api.wire.messages import V1_VIEW, MessageView, WireMessage, shown_types, wire_messages
from o.domain.blocks import Block
from o.domain.messages import Message


def answer(
    body: BaseModel | Sequence[BaseModel] | Sequence[WireMessage] | Sequence[str] | int | None,
) -> Response:
    """The body as JSON."""
    return Response(to_json(body), media_type="application/json")


def block_answer(block: Block) -> Response:
    """A block as V1 shows it, with its version as the entity tag that `If-Match` takes."""
    shown = answer(BlockBody.of(block))
    shown.headers["etag"] = f'"{block.version}"'
    return shown


def messages_answer(
    found: Sequence[Message],
    *,
    view: MessageView = V1_VIEW,
    types: Sequence[str] | None = None,
    newest_part_first: bool = False,
) -> Response:
    """A list of stored messages as V1 shows it.

    Args:
        found: In the order in which they are shown.
        view: How those of the legacy loop are shown.
        types: V1's message types that were asked for, None for all.
        newest_part_first: The parts of each message in reverse, as those of a list that is.
    """
    parts = (wire_messages(message, view) for message in found)
    shown = [one for each in parts for one in (each[::-1] if newest_part_first else each)]
    return answer(shown_types(shown, types))
