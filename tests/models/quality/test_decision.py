"""Which decision a note's scores suggest."""

import pytest

from models.quality.decision import Decision, decide
from models.quality.settings import Label, LabelKind, QualitySettings

HARM, MERIT, NEUTRAL = (Label(kind.value, kind, 0.5, 0.9) for kind in LabelKind)
SETTINGS = QualitySettings((HARM, MERIT, NEUTRAL), "none", None, promote_from=70, limit_below=30)


@pytest.mark.parametrize(
    ("flagged", "quality", "decision"),
    [
        ([], 70.0, Decision.PROMOTE),
        ([], 69.9, Decision.PASS),
        ([], 30.0, Decision.PASS),
        ([], 29.9, Decision.LIMIT),
        ([HARM], 100.0, Decision.REVIEW),
        ([HARM, MERIT], 0.0, Decision.REVIEW),
        ([MERIT, NEUTRAL], 100.0, Decision.PROMOTE),
        ([NEUTRAL], 0.0, Decision.LIMIT),
    ],
)
def test_a_flagged_harm_is_reviewed_and_otherwise_quality_decides(flagged, quality, decision):
    assert decide(SETTINGS, flagged, quality) is decision
