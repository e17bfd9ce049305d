"""The text of PDF files. It runs in the child alone; see `o.files.child`."""

import re
from typing import Final

import pypdfium2
import pypdfium2.raw as pdfium

from o.domain.text import storable
from o.files.codecs_loaded import load_codecs
from o.files.refusal import CannotRead

# PDFium marks the hyphen at which a word is broken over two lines.
_BROKEN_WORD: Final = re.compile("[\ufffe\x02\xad]\r?\n")
_HYPHEN: Final = re.compile("[\ufffe\x02]")
_LINE_END: Final = re.compile(r"[ \t]*\r?\n")

load_codecs()


def read_pdf(data: bytes, *, most_chars: int) -> str:
    """The text of each page below a heading with its number; pages without text are left out.

    Args:
        data: The file.
        most_chars: Once there are more, the rest is not read.

    Raises:
        CannotRead: It is encrypted, damaged, or has no text.
    """
    try:
        document = pypdfium2.PdfDocument(data)
        count = len(document)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise CannotRead("It is encrypted, and opens with a password only.") from None
        raise CannotRead("It is no PDF, or is damaged.") from None
    parts: list[str] = []
    chars = 0
    for number in range(count):
        if page := _page_text(document, number):
            parts.append(f"## Page {number + 1}\n\n{page}")
            chars += len(page)
        if chars > most_chars:
            break
    if not parts:
        raise CannotRead(
            f"No text was found in it (pages: {count:,}). If they are scanned, put it through text "
            "recognition (OCR) first."
        )
    return storable("\n\n".join(parts))


def _page_text(document: pypdfium2.PdfDocument, number: int) -> str:
    """The text of a page; nothing of one that is damaged, for the others' sake."""
    try:
        page = document[number]
        try:
            found = page.get_textpage().get_text_bounded(errors="replace")
        finally:
            page.close()
    except pypdfium2.PdfiumError:
        return ""
    return _LINE_END.sub("\n", _HYPHEN.sub("-", _BROKEN_WORD.sub("", found))).strip()
