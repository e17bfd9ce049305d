"""Every table: what migrations are compared with. A new module of tables is named here."""

from o.storage.tables import (
    core,
    folders,
    identities,
    kept,
    keys,
    memory,
    message_vectors,
    moved,
    providers,
    tools,
)
from o.storage.tables.columns import metadata

# Importing one puts its tables into `metadata`.
MODULES = (core, folders, identities, kept, keys, memory, message_vectors, moved, providers, tools)

__all__ = ["MODULES", "metadata"]
