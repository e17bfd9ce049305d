"""The tables of folders and their files, and of which agents have them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSON

from o.storage.tables.columns import authors, flag, id_column, json, metadata, owner, parent, time


def _key(name: str, target: str) -> Column[str]:
    """A part of a primary key; the row goes when its target goes."""
    return Column(name, Text, ForeignKey(f"{target}.id", ondelete="CASCADE"), primary_key=True)


folders = Table(
    "folders",
    metadata,
    id_column(),
    owner(),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("instructions", Text),
    json("metadata", None),
    Column("embedding", Text),
    Column("embedding_config", JSON(none_as_null=True)),
    Column("archive_id", Text, ForeignKey("archives.id"), nullable=False),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
    time("deleted_at"),
)

files = Table(
    "files",
    metadata,
    id_column(),
    owner(),
    parent("folder_id", "folders"),
    Column("file_name", Text, nullable=False),
    Column("original_file_name", Text, nullable=False),
    Column("file_path", Text),
    Column("file_type", Text),
    Column("file_size", BigInteger),
    Column("file_creation_date", Text),
    Column("file_last_modified_date", Text),
    Column("processing_status", Text, nullable=False, server_default=text("'pending'")),
    Column("error_message", Text),
    Column("total_chunks", Integer),
    Column("content_key", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # at reading it
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
    time("deleted_at"),  # ahead of now while it is being uploaded
)

file_contents = Table(
    "file_contents",
    metadata,
    _key("file_id", "files"),
    Column("text", Text, nullable=False),
)

file_uploads = Table(
    "file_uploads",
    metadata,
    _key("file_id", "files"),
    Column("ordinal", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

agent_folders = Table(
    "agent_folders",
    metadata,
    _key("agent_id", "agents"),
    _key("folder_id", "folders"),
    time("created_at", nullable=False),
)

agent_files = Table(
    "agent_files",  # of files that an agent has or had open; all files of its folders are its own
    metadata,
    _key("agent_id", "agents"),
    _key("file_id", "files"),
    parent("folder_id", "folders"),
    flag("is_open"),
    Column("view_start", Integer),
    Column("view_end", Integer),
    time("last_accessed_at"),
)
