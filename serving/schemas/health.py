"""Health, as orchestrators ask for it."""

from serving.schemas.base import Answer


class Alive(Answer):
    """The process answers."""


class Readiness(Answer):
    """Each check by name: ``ok``, or what is wrong.

    ``degraded`` names the parts that are ill and stop no scoring; ``troubles`` says by a code what is wrong with each.
    """

    ready: bool
    checks: dict[str, str]
    troubles: dict[str, str]
