"""The console's languages: what pages say in Chinese, or in English by a catalogue, and how they write numbers."""

import gettext
import io
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from importlib.resources import files
from typing import Final

from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from features.state import COMMUNITY_OFFSET_US, DAY_US
from features.wording import Text

CHINESE, ENGLISH = "zh", "en"
_LOCALES: Final = {CHINESE: "zh_Hans_CN", ENGLISH: "en_GB"}
_ZONE: Final = timezone(timedelta(microseconds=COMMUNITY_OFFSET_US))


class Language:
    """One language: its words, dates and numbers; instants are shown in the community's zone."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.tag = "zh-CN" if code == CHINESE else "en"
        self._locale = _LOCALES[code]
        self._catalogue = _catalogue() if code == ENGLISH else gettext.NullTranslations()

    def say(self, message: str, **values: object) -> str:
        """A message of the pages in this language; the messages themselves are Chinese."""
        said = self._catalogue.gettext(message)
        return said.format(**values) if values else said

    def text(self, text: Text) -> str:
        """What is said in both languages, in this one."""
        return text.zh if self.code == CHINESE else text.en

    def instant(self, at: int | None) -> str:
        """An instant to the minute."""
        if at is None:
            return "—"
        length = "medium" if self.code == ENGLISH else "short"
        return str(format_datetime(_at(at), length, tzinfo=_ZONE, locale=self._locale))

    def day(self, day: int) -> str:
        """A community day (days since 1970)."""
        return str(format_date(_at(day * DAY_US).date(), "medium", locale=self._locale))

    def short_day(self, day: int) -> str:
        """A community day without its year, for the axis of a chart."""
        pattern = "d MMM" if self.code == ENGLISH else "M/d"
        return str(format_date(_at(day * DAY_US).date(), pattern, locale=self._locale))

    def number(self, value: float | None) -> str:
        """A number, to two places at most."""
        return "—" if value is None else str(format_decimal(round(value, 2), locale=self._locale))

    def percent(self, share: float | None) -> str:
        """A share as a percentage, to one place."""
        return "—" if share is None else str(format_percent(share, "0.0%", locale=self._locale))

    def since(self, at: int, now: int) -> str:
        """How long ago an instant is."""
        minutes = max(0, now - at) // 60_000_000
        for n_minutes, unit in ((1_440, self.say("天")), (60, self.say("小时"))):
            if minutes >= n_minutes:
                return f"{minutes // n_minutes} {unit}"
        return f"{minutes} {self.say('分钟')}"


@cache
def language(code: str) -> Language:
    """The language of a code; Chinese for any that is not known."""
    return Language(code if code in _LOCALES else CHINESE)


def _at(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)


def _catalogue() -> gettext.NullTranslations:
    with files("serving.console").joinpath("locale/en.po").open("rb") as file:
        catalogue = read_po(file, locale="en")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
