"""Health, as orchestrators ask for it."""

from serving.schemas.base import Answer


class Alive(Answer):
    """The process answers."""


class Readiness(Answer):
    """Each check by name: ``ok``, or what is wrong."""

    ready: bool
    checks: dict[str, str]
