"""Forms with files in them (`multipart/form-data`), read piece by piece as they come in.

What FastAPI reads a form with keeps each file whole, on the disk of the process that takes it. Here
whoever reads gets what has come, and nothing is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from o.errors import InvalidInput

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_HEADER_BYTES = 32 * 1024
"""A name may be longer than the file systems of most clients take: it is cut, not refused."""

_BROKEN = "The body is not the form that its content-type says: {what}"
_NO_FORM = (
    "A file is uploaded as a form: send the header 'content-type: multipart/form-data; "
    "boundary=…', with the file in the field 'file' (`curl -F file=@PATH`)"
)


@dataclass(frozen=True)
class PartHead:
    """The beginning of a field of a form.

    Attributes:
        name: Of the field.
        file_name: As the client calls the file; None where the field is none.
        media_type: As the client says; empty where it says nothing.
    """

    name: str
    file_name: str | None
    media_type: str


async def form_parts(
    content_type: str | None, body: AsyncIterator[bytes]
) -> AsyncIterator[PartHead | bytes]:
    """The fields of a form, each as its head and then pieces of what it holds.

    Args:
        content_type: The request's.
        body: What comes in, of any length.

    Raises:
        InvalidInput: It is no form, or a broken one; also when it ends before its end.
    """
    reader = _Reader()
    try:
        parser = MultipartParser(
            _boundary(content_type), reader.callbacks(), max_header_size=_MOST_HEADER_BYTES
        )
        async for chunk in body:
            parser.write(chunk)
            for found in reader.take():
                yield found
    except FormParserError:
        raise InvalidInput(_BROKEN.format(what="it cannot be read")) from None
    if not reader.is_complete:
        raise InvalidInput(_BROKEN.format(what="it ends before its last boundary"))


def _boundary(content_type: str | None) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidInput(_NO_FORM)
    return boundary


class _Reader:
    """What the parser has found since it was last asked."""

    def __init__(self) -> None:
        self.is_complete = False
        self._found: list[PartHead | bytes] = []
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> MultipartCallbacks:
        """For the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_head,
            "on_part_data": self._add_data,
            "on_end": self._end,
        }

    def take(self) -> list[PartHead | bytes]:
        """What is new."""
        found, self._found = self._found, []
        return found

    def _begin(self) -> None:
        self._headers = {}

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end_head(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._found.append(
            PartHead(
                name=_decoded(options.get(b"name", b"")),
                file_name=_file_name(self._headers.get(b"content-disposition", b""), options),
                media_type=_decoded(self._headers.get(b"content-type", b"")),
            )
        )

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._found.append(data[start:end])

    def _end(self) -> None:
        self.is_complete = True


def _file_name(disposition: bytes, options: dict[bytes, bytes]) -> str | None:
    """The plain name, else the one in the way of RFC 5987, which older clients send alone.

    Libraries of theirs spell names that are not ASCII so: `filename*=utf-8''na%C3%AFve.txt`.
    """
    if (plain := options.get(b"filename")) is not None:
        return _decoded(plain)
    for option in disposition.split(b";"):
        key, is_there, value = option.strip().partition(b"=")
        if is_there and key.lower() == b"filename*":
            *_, spelled = value.strip(b'"').split(b"'", 2)
            return _decoded(unquote_to_bytes(spelled))
    return None


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
