"""The commands that see to API keys, beside running servers."""

import argparse
import asyncio

from features.state import DAY_US
from serving.instants import now_us, to_datetime
from serving.security import hash_secret, new_key
from serving.settings import Settings
from serving.store.keys import StoredKey
from serving.store.stores import open_stores


def create_key(settings: Settings, options: argparse.Namespace) -> None:
    """Make a key with a label and scopes, and print it: it is kept nowhere."""
    key, now = new_key(), now_us()
    stored = StoredKey(
        hash_secret(key),
        options.label,
        options.scopes,
        created_at=now,
        expires_at=options.days and now + options.days * DAY_US,
        rate_limit_per_s=options.rate_limit,
    )

    async def add() -> None:
        async with open_stores(settings) as stores:
            await stores.keys.add(stored)

    asyncio.run(add())
    print(key)


def revoke_key(settings: Settings, options: argparse.Namespace) -> None:
    """Revoke the key with an id, or all with a label, and print how many there were."""

    async def revoke() -> int:
        async with open_stores(settings) as stores:
            if options.id:
                return await stores.keys.revoke_one(options.id, now_us())
            return await stores.keys.revoke(options.label, now_us())

    print(f"revoked {asyncio.run(revoke())}")


def list_keys(settings: Settings, _: argparse.Namespace) -> None:
    """Print a line for each key that is kept, tabs between its columns."""

    async def read() -> list[StoredKey]:
        async with open_stores(settings) as stores:
            return await stores.keys.all()

    print("id\tlabel\tscopes\tcreated\tstatus\trequests a second")
    for key in asyncio.run(read()):
        limit = "" if key.rate_limit_per_s is None else key.rate_limit_per_s or "unlimited"
        print(key.key_id, key.label, ",".join(sorted(key.scopes)), _day(key.created_at), _status(key), limit, sep="\t")


def _status(key: StoredKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "in force"
    return f"{'in force until' if key.is_in_force(now_us()) else 'expired'} {_day(key.expires_at)}"


def _day(instant: int) -> str:
    return to_datetime(instant).date().isoformat()
