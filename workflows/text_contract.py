"""What is said in the background of texts: which are embedded, which files are read.

The rules of `contract.py` hold here too: fields get defaults, and none is renamed.
"""

from dataclasses import dataclass

from temporalio import activity

from workflows.contract import only_a_name


@dataclass(frozen=True)
class ArchiveRef:
    """Whose passages are embedded.

    Attributes:
        failures: How often in a row its model has failed, which says how long it is left alone.
        done: How many passages were embedded so far, for whoever looks on.
    """

    archive_id: str
    failures: int = 0
    done: int = 0


@dataclass(frozen=True)
class MessagesRef:
    """Whose messages are embedded; see `ArchiveRef`."""

    organization_id: str
    failures: int = 0
    done: int = 0


@dataclass(frozen=True)
class EmbedOutcome:
    """What came of some work at an archive, or at messages.

    Attributes:
        model: Its handle, for whoever looks on.
        done: How many passages or messages were embedded.
        is_settled: Whether nothing is left to do.
        retry_in_s: How long the model is to be left alone, None where it answers.
    """

    model: str = ""
    done: int = 0
    is_settled: bool = False
    retry_in_s: float | None = None


@dataclass(frozen=True)
class FileRef:
    """Which file is to be read."""

    file_id: str


@dataclass(frozen=True)
class FileOutcome:
    """What came of a file.

    Attributes:
        status: `completed` or `error`, as the file has it; `gone` where there is no such file.
        passages: How many its text makes.
    """

    status: str
    passages: int = 0


@activity.defn(name="embed_passages")
async def embed_passages(archive: ArchiveRef) -> EmbedOutcome:
    """Embed passages of an archive for a while; see `activities.embedding.passages`."""
    only_a_name(archive)


@activity.defn(name="embed_messages")
async def embed_messages(messages: MessagesRef) -> EmbedOutcome:
    """Embed messages of an organization for a while; see `activities.embedding.messages`."""
    only_a_name(messages)


@activity.defn(name="ingest_file")
async def ingest_file(file: FileRef) -> FileOutcome:
    """Read a file and store its passages; see `activities.ingestion`."""
    only_a_name(file)
