"""Bodies as answers: written to JSON once, by the code that made them.

Routes give their model to FastAPI for the documentation only (`response_model`) and return what
these functions make: FastAPI would otherwise check and write every body a second time.
"""

from collections.abc import Sequence

from fastapi import Response
from pydantic import BaseModel
from pydantic_core import to_json

from api.wire.blocks import BlockBody
from o.domain.blocks import Block


def answer(body: BaseModel | Sequence[BaseModel] | str | int | None) -> Response:
    """The body as JSON."""
    return Response(to_json(body), media_type="application/json")


def block_answer(block: Block) -> Response:
    """A block as V1 shows it, with its version as the entity tag that `If-Match` takes."""
    shown = answer(BlockBody.of(block))
    shown.headers["etag"] = f'"{block.version}"'
    return shown
