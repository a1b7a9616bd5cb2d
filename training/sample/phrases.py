"""Words and sentence frames of the sample notes, read from the TOML files beside this module."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CATEGORY_FILES = ("beauty", "fashion", "parenting", "home", "food", "travel", "fitness", "digital")


@dataclass(frozen=True)
class Topic:
    """One topic of one category, with what its notes talk about."""

    name: str
    category: str
    popularity: float
    emoji: tuple[str, ...]
    people: tuple[str, ...]
    things: tuple[str, ...]
    titles: tuple[str, ...]
    openings: tuple[str, ...]
    details: tuple[str, ...]
    tips: tuple[str, ...]


@dataclass(frozen=True)
class Phrasebook:
    """Everything a note can be composed from; ``common`` is common.toml as it stands."""

    topics: tuple[Topic, ...]
    common: Mapping[str, Any]

    @property
    def topic_names(self) -> tuple[str, ...]:
        return tuple(topic.name for topic in self.topics)

    @property
    def categories(self) -> tuple[str, ...]:
        """The category of each topic, in the order of ``topics``."""
        return tuple(topic.category for topic in self.topics)


def load_phrasebook(folder: Path = HERE) -> Phrasebook:
    """Read the category files and common.toml of ``folder``."""
    topics = [topic for name in CATEGORY_FILES for topic in _topics(_toml(folder / f"{name}.toml"))]
    return Phrasebook(topics=tuple(topics), common=_toml(folder / "common.toml"))


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _topics(category: Mapping[str, Any]) -> list[Topic]:
    return [
        Topic(
            name=topic["name"],
            category=category["category"],
            popularity=category["popularity"],
            emoji=tuple(category["emoji"]),
            people=tuple(category["words"]["people"]),
            things=tuple(topic["things"]),
            # a topic's own titles read better than the category's: twice as likely
            titles=(*topic["titles"], *topic["titles"], *category["titles"]),
            openings=tuple(topic.get("openings", category["openings"])),
            details=tuple(topic["details"]),
            tips=tuple(topic.get("tips", category["tips"])),
        )
        for topic in category["topics"]
    ]
