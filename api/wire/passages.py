"""V1's spelling of passages. Vectors are never sent: `embedding` is null."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.wire.fields import EntityTime, Json, Moment, RequestBody, Several, Text, with_example
from o.domain.actors import Actor
from o.domain.archives import (
    MAX_TAG_CHARS,
    MAX_TAGS,
    MAX_TEXT_CHARS,
    Archive,
    Passage,
    words_key,
)
from o.ids import new_id
from o.storage.archives.passages import Arrival


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def _each_once(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


PassageText = Annotated[Text, Field(max_length=MAX_TEXT_CHARS), AfterValidator(_not_blank)]
Tag = Annotated[Text, Field(min_length=1, max_length=MAX_TAG_CHARS)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS), AfterValidator(_each_once)]


class PassageBody(BaseModel):
    """V1's `Passage`, of an archive: those of files come with files."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    created_by_id: str | None
    last_updated_by_id: str | None
    created_at: EntityTime
    updated_at: EntityTime
    is_deleted: bool = False
    organization_id: str
    archive_id: str
    source_id: None = None
    file_id: None = None
    file_name: None = None
    metadata: dict[str, Any]
    tags: list[str]
    text: str
    embedding: list[float] | None = None
    embedding_config: dict[str, Any] | None = None

    @classmethod
    def of(cls, passage: Passage) -> Self:
        """The passage as V1 shows it."""
        return cls.model_validate(passage)


class CreateArchivalMemoryBody(RequestBody):
    """V1's `CreateArchivalMemory`."""

    model_config = with_example(text="Ada likes tea.", tags=["preferences"])

    text: PassageText
    tags: Tags | None = None
    created_at: Moment | None = None

    def to_passage(
        self, archive: Archive, actor: Actor, arrival: Arrival, *, place: int = 0
    ) -> Passage:
        """A new passage of an archive.

        Args:
            archive: Which.
            actor: Who adds it.
            arrival: How it came.
            place: Its place in the request, which is its place in lists: a microsecond each.
        """
        now = arrival.at + timedelta(microseconds=place)
        return Passage(
            id=new_id("passage"),
            organization_id=archive.organization_id,
            archive_id=archive.id,
            text=self.text,
            tags=self.tags or [],
            metadata=self.free_json(),
            key=words_key(self.text),
            is_repeat=arrival.is_repeat,
            created_by_id=actor.user_id,
            last_updated_by_id=actor.user_id,
            created_at=self.created_at or now,
            updated_at=now,
        )

    def free_json(self) -> dict[str, Any]:
        """What the client keeps beside the text."""
        return {}


class CreatePassageBody(CreateArchivalMemoryBody):
    """V1's `PassageCreateRequest`."""

    metadata: Json | None = None

    def free_json(self) -> dict[str, Any]:
        """What the client keeps beside the text."""
        return self.metadata or {}


class CreatePassagesBody(RequestBody):
    """V1's `PassageBatchCreateRequest`."""

    model_config = with_example(passages=[{"text": "Ada likes tea."}, {"text": "Bob does not."}])

    passages: Several[CreatePassageBody]

    def to_passages(self, archive: Archive, actor: Actor, arrival: Arrival) -> list[Passage]:
        """New passages, which lists show in their order."""
        return [
            one.to_passage(archive, actor, arrival, place=place)
            for place, one in enumerate(self.passages)
        ]


def passage_bodies(found: Sequence[Passage]) -> list[PassageBody]:
    """The passages as V1 shows them."""
    return [PassageBody.of(passage) for passage in found]
