"""Alembic's entry: runs the steps on the connection that ``schema.migrate`` hands over, in its transaction."""

from alembic import context

from serving.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
