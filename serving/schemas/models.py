"""Models: what is live, and what was refused."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from serving.schemas.base import Answer


class ModelOut(BaseModel):
    """A live model: ``name`` and ``role`` are its slot."""

    name: str
    role: str
    version: str
    digest: str
    released_at: str
    loaded_at: datetime
    gates: dict[str, Any]


class RefusedOut(BaseModel):
    """A release that is not served, and why."""

    name: str
    role: str
    digest: str | None
    reason: str
    at: datetime


class Models(Answer):
    """What is live, and what was refused."""

    live: list[ModelOut]
    refused: list[RefusedOut]
