"""MIME types of files: what clients say, where that can be believed."""

import re
from collections.abc import Mapping
from typing import Final

from o.domain.files.kinds import FileKind

_TYPES: Final[Mapping[FileKind, str]] = {
    FileKind.TEXT: "text/plain",
    FileKind.MARKDOWN: "text/markdown",
    FileKind.HTML: "text/html",
    FileKind.PDF: "application/pdf",
    FileKind.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    FileKind.TABLE: "text/csv",
    FileKind.JSON: "application/json",
    FileKind.CODE: "text/plain",
}
# Whose bytes or names say what they are, whatever the client calls them.
_CERTAIN: Final = frozenset({FileKind.PDF, FileKind.DOCX, FileKind.HTML, FileKind.MARKDOWN})
_BELIEVED: Final = re.compile(
    r"text/[\w.+-]{1,80}|application/(?:[\w.+-]{0,80}(?:json|xml|yaml|toml|sql|javascript|rtf)\w*)",
    re.ASCII,
)


def media_type_of(kind: FileKind, said: str) -> str:
    """What a file of this kind is shown as.

    Args:
        kind: How it is read.
        said: The client's Content-Type of it; a guess by its name, in most clients.
    """
    plain = said.partition(";")[0].strip().lower()
    is_taken = kind not in _CERTAIN and _BELIEVED.fullmatch(plain) is not None
    return plain if is_taken else _TYPES[kind]
