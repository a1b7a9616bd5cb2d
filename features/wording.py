"""Words for people, in the two languages that the product speaks."""

from typing import NamedTuple


class Text(NamedTuple):
    """The same in simplified Chinese and in English."""

    zh: str
    en: str
