"""The text of Word documents, as Markdown. It runs in the child alone; see `o.files.child`."""

# The parser of XML is loaded when it is first asked otherwise, and then it is too late.
import xml.dom.expatbuilder  # noqa: F401
from io import BytesIO
from typing import Final
from zipfile import BadZipFile, ZipFile

import mammoth

from o.files.html import markdown_of
from o.files.refusal import CannotRead

_OLE: Final = b"\xd0\xcf\x11\xe0"
_FEW_BYTES: Final = 10 * 1024 * 1024
_MANY_BYTES: Final = 200 * 1024 * 1024
_MOST_TIMES_PACKED: Final = 200
_DAMAGED: Final = "It is no Word document (.docx), or is damaged."


def read_docx(data: bytes) -> str:
    """A Word document as Markdown, without its images.

    Raises:
        CannotRead: It is encrypted, damaged, unpacks to far more than it is, or has no text.
    """
    _check_package(data)
    try:
        html = mammoth.convert_to_html(
            BytesIO(data), convert_image=lambda _: [], include_embedded_style_map=False
        ).value
    except (MemoryError, RecursionError):
        raise
    # What is not as it expects it to be meets it with any error there is.
    except Exception:
        raise CannotRead(_DAMAGED) from None
    text = markdown_of(html).strip()
    if not text:
        raise CannotRead("No text was found in it.")
    return text


def _check_package(data: bytes) -> None:
    if data.startswith(_OLE):
        raise CannotRead(
            "It is encrypted, or of the old Word format: save it as .docx, without a password."
        )
    try:
        with ZipFile(BytesIO(data)) as package:
            # No more than is said here is ever unpacked.
            unpacked = sum(part.file_size for part in package.infolist())
    except (BadZipFile, ValueError, NotImplementedError):
        raise CannotRead(_DAMAGED) from None
    if unpacked > max(_FEW_BYTES, min(_MANY_BYTES, _MOST_TIMES_PACKED * len(data))):
        raise CannotRead(
            f"It would unpack to {unpacked / 1e6:,.0f} MB, which is far more than documents hold."
        )
