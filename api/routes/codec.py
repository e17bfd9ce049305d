"""Payloads of Temporal in plain words, for its UI and its command line.

The protocol is that of Temporal's remote codec servers: the address to give them is `/v1/codec`.
"""

from collections.abc import Iterable

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from api.access.auth import key_of
from api.deps import PartsDep
from o.secrets import SecretUnreadable
from o.temporal.codec import ENCRYPTED

router = APIRouter(prefix="/codec", include_in_schema=False)

_OFF = "A payload is encrypted, and O_TEMPORAL_CODEC is off here: set it to decode."
_NOT_BY_KEY = "Temporal holds what belongs to all organizations: this needs the server's token."
_NO_PAYLOADS = 'The body has to be {"payloads": [{"metadata": {…}, "data": "…"}]}, as in Temporal.'


@router.post("/decode")
async def decode(request: Request, parts: PartsDep) -> Response:
    """The payloads, decrypted; those that are not encrypted as they are."""
    codec = _codec(request, parts.temporal.data_converter.payload_codec)
    given = (await _read(request)).payloads
    if codec is None and any(one.metadata.get("encoding") == ENCRYPTED for one in given):
        raise HTTPException(422, _OFF)
    try:
        return _answer(given if codec is None else await codec.decode(given))
    except SecretUnreadable as error:
        raise HTTPException(422, f"A payload cannot be read: {error}.") from None


@router.post("/encode")
async def encode(request: Request, parts: PartsDep) -> Response:
    """The payloads as O itself would give them to Temporal."""
    codec = _codec(request, parts.temporal.data_converter.payload_codec)
    given = (await _read(request)).payloads
    return _answer(given if codec is None else await codec.encode(given))


def _codec(request: Request, codec: PayloadCodec | None) -> PayloadCodec | None:
    """What reads payloads; None where nothing is encrypted. Temporal's tools ask all the same."""
    if key_of(request.scope) is not None:
        raise HTTPException(403, _NOT_BY_KEY)
    return codec


async def _read(request: Request) -> Payloads:
    try:
        return Parse(await request.body(), Payloads())
    except (ParseError, UnicodeDecodeError):
        raise HTTPException(422, _NO_PAYLOADS) from None


def _answer(payloads: Iterable[Payload]) -> Response:
    return Response(MessageToJson(Payloads(payloads=payloads)), media_type="application/json")
