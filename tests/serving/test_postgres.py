"""What only the PostgreSQL database promises; what every database does stands in the contract tests."""

import asyncio
from contextlib import suppress

import pytest


@pytest.mark.anyio
async def test_reads_on_every_connection_hold_up_no_write(postgres_database):
    def read_long(connection):
        return connection.exec_driver_sql("SELECT pg_sleep(60)").all()

    reads = [asyncio.create_task(postgres_database.read(read_long, many=True)) for _ in range(20)]
    await asyncio.sleep(0)  # each read has taken a connection, or waits for one
    assert await postgres_database.write(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()) == 1
    assert not any(one.done() for one in reads)
    for one in reads:
        one.cancel()
        with suppress(asyncio.CancelledError):
            await one
