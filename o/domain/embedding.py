"""Text as vectors, as everything but the models sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MOST_DIMENSIONS = 4_096
"""Numbers of a vector that is stored; an index cannot be made for much more."""

MOST_CHARS = 24_000
"""Characters of a text that any model is given: most read 8,192 tokens at most."""

LOCAL_EMBEDDING = "local/multilingual-e5-small"
"""The handle of the model that comes with the server."""

LOCAL_DIMENSIONS = 384


@dataclass(frozen=True)
class Refused:
    """A text of which a model makes no vector, while it does of others.

    Attributes:
        reason: Why, for people; it holds nothing of the text.
    """

    reason: str


Vector = list[float]


class TextEmbedder(Protocol):
    """Makes vectors of text, by whichever model a handle names. It retries nothing for long."""

    async def embed(
        self,
        handle: str,
        organization_id: str,
        texts: Sequence[str],
        *,
        is_query: bool,
        mark: str | None = None,
    ) -> list[Vector]:
        """One vector for each text, in their order, all of one length and made to be compared.

        Args:
            handle: `<provider>/<model>`.
            organization_id: Whose providers there are.
            texts: At least one. What is longer than the model reads is cut.
            is_query: Whether they are asked for rather than kept: some models tell them apart.
            mark: What the database said of those providers a moment ago; None where nobody asked.

        Raises:
            ModelError: The model did not answer as it should.
            NotFound: No provider has that model.
            Unavailable: Nobody who runs the model has time now.
        """
        ...


class PassageEmbedder(TextEmbedder, Protocol):
    """One that goes on where a text cannot be embedded."""

    async def resolve(self, handle: str | None, organization_id: str) -> str | None:
        """The handle of the model that is meant; None where no model is.

        Args:
            handle: As an archive has it, None where it names none.
            organization_id: Whose providers there are.
        """
        ...

    async def embed_each(
        self, handle: str, organization_id: str, texts: Sequence[str]
    ) -> list[Vector | Refused]:
        """The same for texts that are kept, with a word for each that the model refuses.

        Raises:
            ModelError: The model did not answer as it should, whatever the texts.
            NotFound: No provider has that model.
            NotBuilt: The provider embeds nothing.
        """
        ...


@dataclass(frozen=True)
class Space:
    """Vectors that may be compared: those that one model makes for one organization."""

    id: int
    handle: str
    dimension: int


@dataclass(frozen=True)
class ArchiveToEmbed:
    """How the vectors of an archive stand.

    Attributes:
        embedding: The handle that it names, None for whatever the default is.
        space: Where searches look; None before the first vector.
        next_space: What is being filled in its place, if anything is.
        is_filling: Whether passages that have to get vectors anew are still to be found.
    """

    id: str
    organization_id: str
    embedding: str | None
    space: Space | None
    next_space: Space | None
    is_filling: bool

    @property
    def target(self) -> Space | None:
        """Where every passage is to have its vector."""
        return self.next_space or self.space


@dataclass(frozen=True)
class WaitingPassage:
    """A passage that has no vector yet, or is to have another one.

    Attributes:
        text: Its beginning, as much of it as any model is given.
        digest: Of its whole text, by which is seen whether that has changed meanwhile.
        is_new: Whether no search finds its vector so far.
    """

    id: str
    text: str
    digest: str
    is_new: bool


@dataclass(frozen=True)
class MessagesToEmbed:
    """How the vectors of an organization's messages stand.

    Attributes:
        handle: The model that embeds them; None where none does.
        space: Where searches look; None before the first vector.
    """

    organization_id: str
    handle: str | None
    space: Space | None


@dataclass(frozen=True)
class WaitingMessage:
    """A message that has no vector yet.

    Attributes:
        text: The beginning of what it says; empty where it says nothing, or is gone.
        digest: Of all that it says, by which is seen whether that has changed meanwhile.
        is_patient: Whether it leaves the machine to others as often as not: it came with a history
            from elsewhere, or it is talked on and on.
    """

    id: str
    text: str
    digest: str
    is_patient: bool


_SHORTEST_BYTES = 16
_EVENTS = tuple(f'{{"type": "{kind}"' for kind in ("heartbeat", "login", "system_alert"))


def is_worth_embedding(text: str) -> bool:
    """Whether what a message says has a meaning by which somebody might look for it.

    Not "ok", "yes, thank you", and whatever else is shorter than 16 bytes of UTF-8; nor the
    events that tell an agent of the legacy loop to wake up. Words find them all the same.
    """
    said = text.strip()
    return len(said.encode("utf-8", "replace")) >= _SHORTEST_BYTES and not said.startswith(_EVENTS)


@dataclass(frozen=True)
class EmbeddingProgress:
    """How far the passages of an archive are embedded.

    Attributes:
        embedding: The model's handle; None where words alone are searched.
        dimension: Numbers of a vector; None before the first one.
        replaces: The model that searches use until all is done, where that is another one.
        total: How many passages there are.
        done: How many have their vector.
        refused: How many the model makes none of.
        is_done: Whether each of them has its vector or was refused.
        problem: Why nothing goes on at the moment, for people; empty if it does.
        refusal: Why the model refuses one of them.
    """

    embedding: str | None
    dimension: int | None
    replaces: str | None
    total: int
    done: int
    refused: int
    is_done: bool
    problem: str
    refusal: str


def embedding_execution(archive_id: str) -> str:
    """The id of the workflow that embeds an archive's passages."""
    return f"embed-{archive_id}"


def message_embedding_execution(organization_id: str) -> str:
    """The id of the workflow that embeds an organization's messages."""
    return f"embed-messages-{organization_id}"
