"""Every table: what migrations are compared with. A new module of tables is named here."""

from o.storage import (
    folder_tables,
    identity_tables,
    kept_tables,
    key_tables,
    memory_tables,
    message_vector_tables,
    moved_tables,
    tables,
    tool_tables,
)
from o.storage.columns import metadata

# Importing one puts its tables into `metadata`.
MODULES = (
    folder_tables,
    identity_tables,
    kept_tables,
    key_tables,
    memory_tables,
    message_vector_tables,
    moved_tables,
    tables,
    tool_tables,
)

__all__ = ["MODULES", "metadata"]
