"""The tables of identities, and of groups of agents."""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, Table, Text

from o.storage.tables.columns import authors, id_column, json, metadata, owner, time


def _link(name: str, target: str) -> Column[str]:
    """One half of a key whose row goes when either target goes."""
    reference = ForeignKey(f"{target}.id", ondelete="CASCADE")
    return Column(name, Text, reference, primary_key=True)


identities = Table(
    "identities",
    metadata,
    id_column(),
    owner(),
    Column("identifier_key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("identity_type", Text, nullable=False),
    json("properties", "[]"),
    Column("project_id", Text),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
)

agent_identities = Table(
    "agent_identities",
    metadata,
    _link("agent_id", "agents"),
    _link("identity_id", "identities"),
)

block_identities = Table(
    "block_identities",
    metadata,
    _link("block_id", "blocks"),
    _link("identity_id", "identities"),
)

groups = Table(
    "groups",
    metadata,
    id_column(),
    owner(),
    Column("description", Text, nullable=False),
    Column("manager_type", Text, nullable=False),
    Column("manager_agent_id", Text, ForeignKey("agents.id", ondelete="SET NULL")),
    json("manager_config"),
    Column("turns_counter", Integer),
    Column("last_processed_message_id", Text),
    Column("hidden", Boolean),
    Column("project_id", Text),
    Column("template_id", Text),
    Column("base_template_id", Text),
    Column("deployment_id", Text),
    *authors(),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
)

group_agents = Table(
    "group_agents",
    metadata,
    _link("group_id", "groups"),
    _link("agent_id", "agents"),
    Column("position", Integer, nullable=False),
)

group_blocks = Table(
    "group_blocks",
    metadata,
    _link("group_id", "groups"),
    _link("block_id", "blocks"),
    Column("position", Integer, nullable=False),
)
