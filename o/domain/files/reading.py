"""Files as text, as everything but what reads them sees it."""

from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from o.domain.files.kinds import FileKind
from o.errors import OError

DEFAULT_CHUNK_TOKENS: Final = 300
"""V1's `embedding_chunk_size`."""

_FEWEST_TOKENS: Final = 32
# Models read 8,192 tokens, and what is counted here is an estimate.
_MOST_TOKENS: Final = 4_096


def chunk_tokens(asked: int | None) -> int:
    """How many tokens a passage of a file has at most, where so many are asked for."""
    return min(max(asked or DEFAULT_CHUNK_TOKENS, _FEWEST_TOKENS), _MOST_TOKENS)


@dataclass(frozen=True)
class Chunks:
    """How a text is cut.

    Attributes:
        spans: Where each chunk begins and ends, in characters; what is between them is blank.
        header: The first line of a table, which is to stand before every chunk but the first.
    """

    spans: list[tuple[int, int]]
    header: str = ""

    def texts(self, text: str) -> Iterator[str]:
        """What each passage says."""
        for start, end in self.spans:
            yield self.header * (start > 0) + text[start:end]


class FileRefused(OError):
    """A file of which no text comes, whoever tries; the message says why, for its owner."""

    status = 422


@dataclass(frozen=True)
class FileText:
    """What a file says, and how it is cut.

    Attributes:
        text: All of it, fit to be stored.
        chunks: What each of its passages says, in order.
    """

    text: str
    chunks: list[str]


class FileReader(Protocol):
    """Makes text of files."""

    async def read(
        self, kind: FileKind, pieces: AsyncIterable[bytes], *, chunk_tokens: int
    ) -> FileText:
        """Read a file, in a time and memory that are bounded whatever is in it.

        Args:
            kind: As `o.domain.files.kinds.kind_of` found.
            pieces: Its bytes, in order.
            chunk_tokens: Tokens that a passage has at most.

        Raises:
            FileRefused: No text comes of it.
        """
        ...
