"""Archives: what agents keep beyond their context, as passages that are searched for."""

import hashlib
import re
import unicodedata
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

MAX_TEXT_CHARS = 1_000_000
"""What one passage may hold."""

MAX_TAGS = 100
MAX_TAG_CHARS = 200
"""Tags are in an index, which takes 2,704 bytes."""

_WORDS = re.compile(r"\w+")


class Archive(BaseModel):
    """A collection of passages, which agents that it is attached to search.

    Attributes:
        embedding: The handle of the model that embeds its passages; None where none was named.
        embedding_config: V1's spelling of the same, shown to clients.
        space_id: The vectors that searches use (`vector_spaces`); None where there are none.
        problem: Why passages are not embedded; empty when they are.
        passage_count: How many passages it has.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    name: str
    description: str | None = None
    metadata: dict[str, Any] | None = None
    embedding: str | None = None
    embedding_config: dict[str, Any] | None = None
    space_id: int | None = None
    problem: str = ""
    passage_count: int = 0
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime


class Passage(BaseModel):
    """A text in an archive.

    Attributes:
        tags: Each once, in the order given.
        key: A digest of the text's words: see `words_key`.
        is_repeat: Whether it came by a request that its client had sent before.
        file_id: The file of a folder that it is a part of; None for what somebody archived.
        ordinal: Its place in that file, from 0.
        created_at: When what it tells was so, which clients may say.
        updated_at: When it was stored.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    organization_id: str
    archive_id: str
    text: str
    metadata: dict[str, Any] = {}
    tags: list[str] = []
    key: str = ""
    is_repeat: bool = False
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    created_at: datetime
    updated_at: datetime
    file_id: str | None = None
    ordinal: int | None = None


class ArchivalSummary(BaseModel):
    """What the prompt tells of an agent's archives.

    Attributes:
        passage_count: In all of them.
        tags: The most used ones, by name.
        more_tags: How many others there are.
    """

    model_config = ConfigDict(frozen=True)

    passage_count: int = 0
    tags: list[str] = []
    more_tags: int = 0


NOTHING_ARCHIVED = ArchivalSummary()


def words_key(text: str) -> str:
    """A digest of the words of a text, the same whatever its case, blanks and punctuation.

    A text without words (figures of speech drawn in signs, say) is known by itself.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = " ".join(_WORDS.findall(plain)) or plain.strip()
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def name_of_own(agent_name: str) -> str:
    """What V1 calls the archive that is made for an agent."""
    return f"{agent_name}'s Archive"
