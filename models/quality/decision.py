"""What a note's scores suggest doing with it."""

from collections.abc import Sequence
from enum import StrEnum

from models.quality.settings import Label, LabelKind, QualitySettings


class Decision(StrEnum):
    """For a note: give it reach, leave it be, give it less, or have a person look."""

    PROMOTE = "promote"
    PASS = "pass"  # noqa: S105
    LIMIT = "limit"
    REVIEW = "review"


def decide(settings: QualitySettings, flagged: Sequence[Label], quality: float) -> Decision:
    """A flagged harm is for a person to judge; otherwise quality decides. Merits and neutral labels stop nothing."""
    if any(label.kind is LabelKind.HARM for label in flagged):
        return Decision.REVIEW
    if quality < settings.limit_below:
        return Decision.LIMIT
    return Decision.PROMOTE if quality >= settings.promote_from else Decision.PASS
