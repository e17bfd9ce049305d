"""Alembic's environment: one connection, handed in by `migrations.upgrade`."""

from alembic import context

from o.storage.tables.all import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
