"""The data contract: the tables every pipeline reads, their columns, types and units.

Plain values only, so that what serves can read the vocabulary without a table library.
"""

from dataclasses import dataclass
from enum import StrEnum

EVENT_KINDS = (
    "open", "impression", "click", "read", "like", "collect", "comment", "share",
    "follow", "search", "publish", "purchase", "report", "hide", "other",
)  # fmt: skip
"""The event vocabulary; a kind's place here is its code in a stored state, so names are only ever appended."""

KIND_CODES = {kind: code for code, kind in enumerate(EVENT_KINDS)}
IMPRESSION = KIND_CODES["impression"]
OTHER = KIND_CODES["other"]


def kind_code(event: str) -> int:
    """The code of an event name; a name outside the vocabulary counts as ``other``."""
    return KIND_CODES.get(event, OTHER)


class ColumnType(StrEnum):
    """The logical types of the contract, as CSV text and Parquet types both spell them."""

    STRING = "string"
    TIMESTAMP = "timestamp with time zone"
    NUMBER = "number"
    INTEGER = "whole number"
    BOOLEAN = "boolean"
    STRINGS = "list of strings"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: an ``optional`` one may be absent, a ``nullable`` one may hold missing values."""

    name: str
    type: ColumnType
    nullable: bool = False
    optional: bool = False
    unique: bool = False
    past: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the contract, found in a folder as ``<name>.parquet`` or ``<name>.csv``."""

    name: str
    columns: tuple[Column, ...]


def _maybe(name: str, type_: ColumnType, *, past: bool = False, low: float | None = None) -> Column:
    return Column(name, type_, nullable=True, optional=True, past=past, low=low)


MAX_VALUE = 1e9
"""The largest magnitude an event's ``value`` may have: sums in thousandths then stay exact 64-bit integers."""

EVENTS = Table("events", (
    Column("event_id", ColumnType.STRING, unique=True),
    Column("user_id", ColumnType.STRING),
    Column("event", ColumnType.STRING),
    _maybe("note_id", ColumnType.STRING),
    Column("occurred_at", ColumnType.TIMESTAMP, past=True),
    Column("value", ColumnType.NUMBER, nullable=True, optional=True, low=-MAX_VALUE, high=MAX_VALUE),
    _maybe("target_user_id", ColumnType.STRING),
    _maybe("session_id", ColumnType.STRING),
    _maybe("recommendation_id", ColumnType.STRING),
    _maybe("received_at", ColumnType.TIMESTAMP, past=True),
))  # fmt: skip

NOTES = Table("notes", (
    Column("note_id", ColumnType.STRING, unique=True),
    _maybe("author_id", ColumnType.STRING),
    _maybe("title", ColumnType.STRING),
    Column("body", ColumnType.STRING),
    _maybe("topics", ColumnType.STRINGS),
    _maybe("category", ColumnType.STRING),
    _maybe("n_images", ColumnType.INTEGER, low=0),
    _maybe("published_at", ColumnType.TIMESTAMP, past=True),
))  # fmt: skip

USERS = Table("users", (
    Column("user_id", ColumnType.STRING, unique=True),
    _maybe("registered_at", ColumnType.TIMESTAMP, past=True),
    _maybe("n_followers", ColumnType.INTEGER, low=0),
    _maybe("personalisation_opt_out", ColumnType.BOOLEAN),
    _maybe("is_minor", ColumnType.BOOLEAN),
))  # fmt: skip

NOTE_LABELS = Table("note_labels", (
    Column("note_id", ColumnType.STRING),
    Column("label", ColumnType.STRING),
    Column("value", ColumnType.NUMBER, low=0, high=1),
    _maybe("split", ColumnType.STRING),
    _maybe("weight", ColumnType.NUMBER, low=0),
    _maybe("source", ColumnType.STRING),
    _maybe("decided_at", ColumnType.TIMESTAMP, past=True),
))  # fmt: skip

RECOMMENDATIONS = Table("recommendations", (
    Column("recommendation_id", ColumnType.STRING),
    Column("place", ColumnType.INTEGER, low=0),
    Column("recommended_at", ColumnType.TIMESTAMP, past=True),
    _maybe("user_id", ColumnType.STRING),
    Column("note_id", ColumnType.STRING),
    Column("source", ColumnType.STRING),
    Column("arm", ColumnType.STRING),
    Column("scene", ColumnType.STRING),
    Column("propensity", ColumnType.NUMBER, low=0, high=1),
    _maybe("version", ColumnType.STRING),
    _maybe("digest", ColumnType.STRING),
))  # fmt: skip

TABLES = {table.name: table for table in (EVENTS, NOTES, USERS, NOTE_LABELS, RECOMMENDATIONS)}
