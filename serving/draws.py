"""Chance that is no accident: the same name always draws the same number, on every server."""

import hashlib


def draw(name: str, *, purpose: bytes) -> float:
    """A number from 0 to 1 of a name; draws for different purposes (16 bytes at most) have nothing in common."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, person=purpose).digest()) / 2**64
