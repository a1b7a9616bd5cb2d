"""Every message of the console is said in English too, with the same values, and none is said that no page has."""

import re
from pathlib import Path

from babel.messages.pofile import read_po

CONSOLE = Path(__file__).parents[3] / "serving" / "console"
VALUES = re.compile(r"\{\w+\}")
VERDICTS = re.findall(r'Decision\.\w+: "([^"]+)"', (CONSOLE / "desk.py").read_text(encoding="utf-8"))


def messages():
    """The messages in templates and code."""
    found = {f"笔记将：{one}" for one in VERDICTS}
    for file in CONSOLE.glob("templates/*.html"):
        found |= {*re.findall(r'(?:\b_|said\.say)\(\s*"([^"]+)"', file.read_text(encoding="utf-8"))}
    for file in CONSOLE.glob("*.py"):
        found |= {*re.findall(r"""\.say\(\s*['\"]([^'\"{]+)['\"]""", file.read_text(encoding="utf-8"))}
    return found


def test_the_catalogue_has_every_message_and_no_other():
    with (CONSOLE / "locale" / "en.po").open("rb") as file:
        catalogue = {one.id: one.string for one in read_po(file) if one.id}
    assert set(catalogue) == messages()
    assert all(catalogue.values())
    assert [one for one, said in catalogue.items() if sorted(VALUES.findall(one)) != sorted(VALUES.findall(said))] == []
