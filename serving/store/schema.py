"""Brings a database's tables up to date."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from serving.errors import UnfitStoreError

_MIGRATIONS: Final = Path(__file__).with_name("migrations")


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run the migrations that the database lacks, up to a revision, inside the connection's transaction.

    UnfitStoreError where its tables are of a version that is not known here.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise UnfitStoreError("its tables are of a later version: run that version, or restore a backup") from error
