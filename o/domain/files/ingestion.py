"""A file on its way from its upload to its passages."""

from dataclasses import dataclass
from datetime import datetime

from o.domain.archives import Archive


@dataclass(frozen=True)
class FileToRead:
    """A file that is to be read, and where its passages go.

    Attributes:
        name: As it was uploaded.
        media_type: Its Content-Type, None where nobody said.
        archive: Of its folder.
        chunk_size: Tokens of a passage, as the folder's `embedding_config` has it.
        has_upload: Whether its bytes are there; else its text is, or nothing.
        attempt: At reading it, from 1; those that came to an end of their own do not count.
    """

    id: str
    organization_id: str
    name: str
    media_type: str | None
    archive: Archive
    chunk_size: int | None
    has_upload: bool
    created_at: datetime
    attempt: int = 1
