"""What an import of an agent file is going to store, before any of it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from o.domain.actors import Actor
from o.domain.agents import Agent, Conversation
from o.domain.archives import Archive, Passage
from o.domain.blocks import Block
from o.domain.mcp import McpServer
from o.domain.messages import Message
from o.domain.tools import StoredTool
from o.letta.file_models import FileDocument, FileGroup, FileIdentity, FileSource, FileView


@dataclass(frozen=True)
class Model:
    """A model that is there: its handle, and the tokens that an agent gets with it."""

    handle: str
    context_window: int


@dataclass(frozen=True)
class ImportOptions:
    """What the request says beside the file.

    Attributes:
        append_copy_suffix: Whether agents are called `<name>_copy`.
        override_existing_tools: Whether a custom tool of the same name takes over what the file
            says of it; else it stays as it is.
        strip_messages: Whether histories are left out.
        secrets: Variables for the tools of every agent.
        name: What the agent is called, in the place of its name; the first one of several.
        project_id: Where agents and blocks belong.
    """

    append_copy_suffix: bool = True
    override_existing_tools: bool = True
    strip_messages: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    project_id: str | None = None


@dataclass(frozen=True)
class Setting:
    """Whose import it is, when, and with which models.

    Attributes:
        model: The model that every agent is to have; None for its own.
        models: By handle, the models that agents of the file name; None for one that is not here.
        default_model: What agents get whose model is not here; None where there is none.
        embedding: The handle of the model that is to embed for all; None for each one's own.
        embedding_config: V1's spelling of the same.
        embeddings: The handles of embedding models that the file names and that are here.
        schemas: By the id of the tool, what was derived for tools that bring no schema.
        adds_servers: Whether MCP servers may be added, and tools to those that are here.
        refused_servers: By name, why one of them is not added.
    """

    actor: Actor
    now: datetime
    options: ImportOptions
    model: Model | None = None
    models: Mapping[str, Model | None] = field(default_factory=dict)
    default_model: Model | None = None
    embedding: str | None = None
    embedding_config: dict[str, Any] | None = None
    embeddings: frozenset[str] = frozenset()
    schemas: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    adds_servers: bool = True
    refused_servers: Mapping[str, str] = field(default_factory=dict)

    @property
    def stamps(self) -> dict[str, Any]:
        """What every new row says of its owner, its author and its time."""
        return {
            "organization_id": self.actor.organization_id,
            "created_by_id": self.actor.user_id,
            "last_updated_by_id": self.actor.user_id,
            "created_at": self.now,
            "updated_at": self.now,
        }


@dataclass(frozen=True)
class PlannedTool:
    """A tool that is a row.

    Attributes:
        server_id: The file's id of the MCP server that it is of; None where the file has none.
        server_name: The name of that server; None for a custom tool.
        kept: What O cannot act on, by name.
    """

    tool: StoredTool
    server_id: str | None = None
    server_name: str | None = None
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedThread:
    """A conversation with its whole history.

    Attributes:
        aside: The ids of messages that are in no window.
        pending: The message that waits for approval.
        isolated: Blocks that it has to itself.
        kept: By message, the fields that are not known.
        made: The file's id of each of its messages, to the ids of what it became.
        copies: Of messages that a fork shares, the file's id of the shared one.
    """

    conversation: Conversation
    messages: list[Message]
    aside: frozenset[str] = frozenset()
    pending: Message | None = None
    isolated: list[Block] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    made: dict[str, list[str]] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedAgent:
    """An agent with what it has to itself.

    Attributes:
        block_ids: Its blocks, in the order of the prompt.
        variables: For its tools.
        source_ids: The file's ids of its folders.
        views: The files that it had open or closed.
        identity_ids: Identities that it names by their ids here.
        kept: What O cannot act on, by name.
    """

    agent: Agent
    threads: list[PlannedThread]
    block_ids: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    source_ids: list[str] = field(default_factory=list)
    views: list[FileView] = field(default_factory=list)
    identity_ids: list[str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedArchive:
    """An archive with its passages, and the agents that have it.

    Attributes:
        agents: Of each, by our id, whether it was made for it.
    """

    archive: Archive
    passages: list[Passage]
    agents: dict[str, bool]


@dataclass(frozen=True)
class ImportPlan:
    """All of it.

    Attributes:
        ids: The file's id of an agent or a block to ours.
        kept: By our id of a block or a server, what is kept with it.
        sources, documents, groups, identities: As the file has them; what stores them gives them
            their ids.
    """

    servers: dict[str, McpServer]
    tools: list[PlannedTool]
    blocks: list[Block]
    agents: list[PlannedAgent]
    archives: list[PlannedArchive]
    ids: dict[str, str]
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: list[FileSource] = field(default_factory=list)
    documents: list[FileDocument] = field(default_factory=list)
    groups: list[FileGroup] = field(default_factory=list)
    identities: list[FileIdentity] = field(default_factory=list)
