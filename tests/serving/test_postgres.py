"""What only the PostgreSQL database promises; what every database does stands in the contract tests."""

import asyncio

import pytest


@pytest.mark.anyio
async def test_reads_on_every_connection_hold_up_no_write(postgres_database):
    def read_long(connection):
        return connection.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(7)").all()

    def write(statement):
        return postgres_database.write(lambda connection: connection.exec_driver_sql(statement).scalar_one())

    await write("SELECT pg_advisory_lock(7)")
    reads = [asyncio.create_task(postgres_database.read(read_long, many=True)) for _ in range(20)]
    await asyncio.sleep(0)  # each read has taken a connection, or waits for one
    assert await write("SELECT 1") == 1
    assert not any(one.done() for one in reads)
    assert await write("SELECT pg_advisory_unlock(7)")
    await asyncio.gather(*reads)
