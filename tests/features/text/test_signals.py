"""Surface signals of a note: the row for models, the findings for people."""

from pathlib import Path

import numpy as np
import pytest

from features.text.lexicons import Lexicons
from features.text.signals import N_SIGNALS, SIGNALS, find_signals, signal_features

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def lexicons() -> Lexicons:
    return Lexicons.load()


def test_a_disguised_wechat_id_is_found_where_it_stands_in_the_original(lexicons: Lexicons) -> None:
    body = "想要的加薇\u200b❤️：ABC12345"
    found = {one.code: body[slice(*one.span)] for one in find_signals("", body, lexicons).findings}
    assert found["wechat"] == "薇\u200b❤️：ABC12345"
    assert found["disguised_contact"] == "薇\u200b❤️"


def test_a_note_alone_gets_the_row_it_gets_among_others(lexicons: Lexicons) -> None:
    notes = [("震惊", "加微信"), ("", ""), ("标题", "正文。正文！")]
    rows = signal_features(notes, lexicons)
    assert rows.shape == (3, N_SIGNALS)
    assert rows.dtype == np.float32
    for row, note in zip(rows, notes, strict=True):
        np.testing.assert_array_equal(row, find_signals(*note, lexicons).row)


def test_the_page_lists_every_signal_in_order() -> None:
    page = (DOCS / "text.md").read_text(encoding="utf-8")
    rows = [f"| `{one.name}` | {one.unit} | {one.meaning} |" for one in SIGNALS]
    assert [line for line in page.splitlines() if line in rows] == rows
