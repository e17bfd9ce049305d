"""An agent file in V1's form of today: what it must be to be read.

Fields that are not named here are allowed, and found in `model_extra`: later releases have others.
What O adds to the form begins with `o_`, which V1 ignores.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from o.domain.files.names import MAX_FOLDER_NAME_CHARS

_Objects = list[dict[str, Any]]
_Name = Annotated[str, Field(min_length=1, max_length=1_000)]
# These stand in indexes, which do not take any length; the API takes no longer ones either.
_FolderName = Annotated[str, Field(min_length=1, max_length=MAX_FOLDER_NAME_CHARS)]
_IdentifierKey = Annotated[str, Field(min_length=1, max_length=400)]
_ProjectId = Annotated[str, Field(max_length=200)]


class FilePart(BaseModel):
    """What all parts have in common: types are what they are, and nothing is made of others."""

    model_config = ConfigDict(extra="allow", strict=True)


class FileMessage(FilePart):
    """A message; the fields are those of V1's rows (`o.letta.drafts`)."""

    id: str | None = None
    type: str | None = None
    role: Literal["system", "user", "assistant", "tool", "function", "approval", "summary"]
    content: str | list[str | dict[str, Any]] | None = None
    text: str | None = None
    name: str | None = None
    otid: str | None = None
    sender_id: str | None = None
    agent_id: str | None = None
    model: str | None = None
    tool_calls: _Objects | None = None
    tool_call_id: str | None = None
    tool_returns: _Objects | None = None
    approvals: _Objects | None = None
    approve: bool | None = None
    approval_request_id: str | None = None
    denial_reason: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    group_id: str | None = None
    batch_item_id: str | None = None
    o_extras: dict[str, Any] | None = None
    o_copy_of: str | None = None

    @property
    def row(self) -> dict[str, Any]:
        """It as a row of V1."""
        return self.__dict__


class FileView(FilePart):
    """How an agent stands to a file."""

    id: str = ""
    agent_id: str | None = None
    file_name: str | None = None
    visible_content: str | None = None
    file_id: str
    source_id: str | None = None
    is_open: bool = True
    start_line: int | None = None
    end_line: int | None = None
    last_accessed_at: str | None = None


class FileBlock(FilePart):
    """A block."""

    id: str = ""
    label: str
    value: str = ""
    limit: int = 100_000
    description: str | None = None
    read_only: bool = False
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    project_id: str | None = None
    is_template: bool = False
    template_name: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    deployment_id: str | None = None
    entity_id: str | None = None
    preserve_on_migration: bool | None = None
    hidden: bool | None = None


class FileTool(FilePart):
    """A tool."""

    id: str
    name: _Name
    tool_type: str = "custom"
    description: str | None = None
    source_type: str | None = None
    source_code: str | None = None
    json_schema: dict[str, Any] | None = None
    args_json_schema: dict[str, Any] | None = None
    tags: list[str] | None = None
    return_char_limit: int | None = None
    pip_requirements: _Objects | None = None
    npm_requirements: _Objects | None = None
    default_requires_approval: bool | None = None
    enable_parallel_execution: bool | None = None
    created_by_id: str | None = None
    last_updated_by_id: str | None = None
    metadata_: dict[str, Any] | None = None
    project_id: str | None = None
    o_is_idempotent: bool = False
    o_allowed_hosts: list[str] | None = None


class FileServer(FilePart):
    """An MCP server, without what is secret."""

    id: str
    server_name: _Name
    server_type: str
    server_url: str | None = None
    stdio_config: dict[str, Any] | None = None
    metadata_: dict[str, Any] | None = None


class FileSource(FilePart):
    """A folder."""

    id: str
    name: _FolderName
    description: str | None = None
    instructions: str | None = None
    metadata: dict[str, Any] | None = None
    embedding: str | None = None
    embedding_chunk_size: int | None = None
    embedding_config: dict[str, Any] | None = None


class FileDocument(FilePart):
    """A file of a folder."""

    id: str
    source_id: str
    file_name: str | None = None
    original_file_name: str | None = None
    file_path: str | None = None
    file_type: str | None = None
    file_size: int | None = None
    file_creation_date: str | None = None
    file_last_modified_date: str | None = None
    processing_status: str | None = None
    error_message: str | None = None
    total_chunks: int | None = None
    chunks_embedded: int | None = None
    content: str | None = None


class FileGroup(FilePart):
    """Agents that work together."""

    id: str
    agent_ids: list[str] = []
    description: str | None = None
    manager_config: dict[str, Any] | None = None
    project_id: str | None = None
    shared_block_ids: list[str] = []
    hidden: bool | None = None


class FilePassage(FilePart):
    """A passage of an archive (`o_archives`)."""

    text: str
    metadata: dict[str, Any] = {}
    tags: list[str] = []
    created_at: str | None = None


class FileArchive(FilePart):
    """An archive with what it holds (`o_archives`).

    Attributes:
        agent_ids: The agents that have it.
        owner_ids: Those of them for which it was made.
    """

    name: _Name
    description: str | None = None
    metadata: dict[str, Any] | None = None
    embedding: str | None = None
    embedding_config: dict[str, Any] | None = None
    agent_ids: list[str] = []
    owner_ids: list[str] = []
    created_at: str | None = None
    passages: list[FilePassage] = []


class FileConversation(FilePart):
    """A conversation that is not the agent's own thread (`o_conversations`)."""

    id: str = ""
    agent_id: str
    summary: str | None = None
    model: str | None = None
    model_settings: dict[str, Any] | None = None
    created_at: str | None = None
    last_message_at: str | None = None
    messages: list[FileMessage] = []
    in_context_message_ids: list[str] = []
    isolated_blocks: list[FileBlock] = []


class FileIdentity(FilePart):
    """An identity (`o_identities`)."""

    id: str = ""
    identifier_key: _IdentifierKey
    name: _Name
    identity_type: str
    project_id: _ProjectId | None = None
    properties: _Objects = []
    agent_ids: list[str] = []
    block_ids: list[str] = []


class FileAgent(FilePart):
    """An agent; `o.letta.agents` reads what it is."""

    id: str
    name: str | None = None
    agent_type: str | None = None
    system: str | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    timezone: str | None = None
    hidden: bool | None = None
    model: str | None = None
    model_settings: dict[str, Any] | None = None
    llm_config: dict[str, Any] | None = None
    context_window_limit: int | None = None
    embedding: str | None = None
    embedding_config: dict[str, Any] | None = None
    compaction_settings: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    message_buffer_autoclear: bool | None = None
    enable_sleeptime: bool | None = None
    max_files_open: int | None = None
    per_file_view_window_char_limit: int | None = None
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    memory_blocks: list[FileBlock] | None = None
    block_ids: list[str] | None = None
    tools: list[str] | None = None
    tool_ids: list[str] | None = None
    tool_rules: _Objects | None = None
    include_base_tools: bool | None = None
    source_ids: list[str] | None = None
    folder_ids: list[str] | None = None
    files_agents: list[FileView] = []
    group_ids: list[str] | None = None
    identity_ids: list[str] | None = None
    secrets: dict[str, str | None] | None = None
    tool_exec_environment_variables: dict[str, str | None] | None = None
    messages: list[FileMessage] = []
    in_context_message_ids: list[str] | None = None
    o_llm: dict[str, Any] | None = None
    o_approval_timeout_s: int | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """All that the file says of it and O knows."""
        return self.__dict__

    @property
    def variables(self) -> dict[str, str]:
        """What its tools are to see; values are empty in files that V1 made."""
        both = {**(self.tool_exec_environment_variables or {}), **(self.secrets or {})}
        return {key: value or "" for key, value in both.items()}


class AgentFile(FilePart):
    """A whole file."""

    agents: list[FileAgent] = Field(min_length=1)
    groups: list[FileGroup] = []
    blocks: list[FileBlock] = []
    files: list[FileDocument] = []
    sources: list[FileSource] = []
    tools: list[FileTool] = []
    mcp_servers: list[FileServer] = []
    skills: _Objects = []
    metadata: dict[str, Any] | None = None
    created_at: str | None = None
    o_archives: list[FileArchive] = []
    o_conversations: list[FileConversation] = []
    o_identities: list[FileIdentity] = []


class _Tag(FilePart):
    tag: str


class _Variable(FilePart):
    key: str
    value: str | None = None


class _LegacyTool(FilePart):
    name: str


class LegacyFile(FilePart):
    """A file of V1's releases 0.6 to 0.10 (`o.letta.legacy_files`)."""

    agent_type: str | None = None
    name: str | None = None
    core_memory: list[FileBlock] = []
    messages: list[FileMessage] = []
    in_context_message_indices: list[int] | None = None
    tools: list[_LegacyTool] = []
    tool_rules: _Objects | None = None
    tags: list[_Tag | str] = []
    llm_config: dict[str, Any] | None = None
    embedding_config: dict[str, Any] | None = None
    tool_exec_environment_variables: list[_Variable] = []
    metadata_: dict[str, Any] | None = None
    version: str | None = None
