"""Notes: what is stored of them, and their scores."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from models.policy.words import Decision
from models.quality.settings import LabelKind
from serving.instants import to_us
from serving.schemas.base import Answer, Body, Content, Count, Fired, Flag, Id, Instant, Name, ScoringAnswer, Text
from serving.schemas.entries import EachOf, Malformed
from serving.schemas.problems import FieldOut
from serving.store.note_scores import NoteQuery, Sort
from serving.store.notes import MAX_BODY_CHARS, MAX_TITLE_CHARS

MAX_NOTES: Final = 200
MAX_LISTED: Final = 100
MAX_TOPICS: Final = 50


def _at_most(n_chars: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        if len(text) > n_chars:
            raise PydanticCustomError("too_long", "at most {n_chars} characters", {"n_chars": n_chars})
        return text

    return check


Title = Annotated[
    Content, AfterValidator(_at_most(MAX_TITLE_CHARS)), Field(json_schema_extra={"maxLength": MAX_TITLE_CHARS})
]
NoteBody = Annotated[
    Content, AfterValidator(_at_most(MAX_BODY_CHARS)), Field(json_schema_extra={"maxLength": MAX_BODY_CHARS})
]


class NoteIn(Body):
    """All that is known of a note; what is left out becomes unknown."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "author_id": "u-7",
                "title": "周末去哪儿",
                "body": "这家小店藏在巷子里，手冲咖啡很香。",
                "topics": ["咖啡"],
                "category": "food",
                "n_images": 3,
                "published_at": "2025-05-01T09:00:00+08:00",
            }
        }
    )

    title: Title = ""
    body: NoteBody
    author_id: Id | None = None
    topics: list[Name] = Field([], max_length=MAX_TOPICS)
    category: Name | None = None
    n_images: Count | None = None
    published_at: Instant | None = None


class NoteStored(Answer):
    """The note is on disk. Its ``revision`` rises when its content changes, whose SHA-256 is ``digest``."""

    note_id: str
    revision: int
    digest: str
    stored_at: datetime
    updated_at: datetime


class NoteOut(NoteStored):
    """A note as it is stored."""

    title: str
    body: str
    author_id: str | None
    topics: list[str]
    category: str | None
    n_images: int | None
    published_at: datetime | None


class NoteDeleted(Answer):
    """Nothing is stored of the note any more; ``existed`` where something was."""

    note_id: str
    existed: bool


class NoteToScore(Body):
    """A stored note, by ``note_id`` alone; or a note as it is given here, with a ``body``."""

    note_id: Id | None = None
    title: Content | None = Field(None, description=f"Longer than {MAX_TITLE_CHARS} characters is answered `too_long`.")
    body: Content | None = Field(None, description=f"Longer than {MAX_BODY_CHARS:,} characters is answered `too_long`.")
    author_id: Id | None = None
    published_at: Instant | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        beside = self.title, self.author_id, self.published_at
        if self.body is None and (self.note_id is None or any(one is not None for one in beside)):
            raise PydanticCustomError("note_id_or_body", "a stored note is its note_id alone, any other has a body")
        return self


class ScoreNotes(Body):
    """Which notes to score, and whether to say which words made them be flagged (up to 5 notes)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "notes": [
                    {"note_id": "n-42"},
                    {"title": "震惊！", "body": "今天加微信 abc12345 领取内部优惠", "author_id": "u-8"},
                ],
                "explain": True,
            }
        }
    )

    notes: Annotated[list[NoteToScore | Malformed], EachOf(NoteToScore, MAX_NOTES)]
    explain: Flag = False


class LabelScore(BaseModel):
    """The probability that a label holds; ``flagged`` from ``threshold`` on."""

    label: str
    kind: LabelKind
    probability: float = Field(ge=0, le=1)
    threshold: float
    flagged: bool


class ReasonAt(BaseModel):
    """Why, for a program (``code``) and for people.

    Where it was found at a place: the field, and the characters (Unicode code points) ``start`` to ``end`` of it,
    ``end`` not included.
    """

    code: str
    zh: str
    en: str
    field: Literal["title", "body"] | None = None
    start: int | None = None
    end: int | None = None


class WordOut(BaseModel):
    """A word where it stands, and what it adds to the logit of a label: without it the logit is so much lower."""

    label: str
    field: Literal["title", "body"]
    start: int
    end: int
    contribution: float


class NearDuplicate(BaseModel):
    """A stored note with nearly the same text.

    ``earlier`` where it was published (or, if that is unknown, stored) before; ``same_author`` is null where one
    author is unknown.
    """

    note_id: str
    similarity: float = Field(ge=0, le=1)
    known_since: datetime
    earlier: bool
    same_author: bool | None
    zh: str
    en: str


class NoteScored(BaseModel):
    """A note's scores; one without a word (``no_text``) has neither labels nor a quality.

    ``decision_rule`` is the rule of the policy that made the decision.

    ``near_duplicates`` is null where they could not be looked for.
    """

    note_id: str | None
    revision: int | None
    status: Literal["scored", "no_text"]
    labels: list[LabelScore]
    quality: float | None = Field(ge=0, le=100)
    decision: Decision
    decision_rule: Fired
    reasons: list[ReasonAt]
    words: list[WordOut]
    near_duplicates: list[NearDuplicate] | None


class NoteProblem(BaseModel):
    """Why an entry has no scores."""

    note_id: str | None
    status: Literal["problem"]
    code: Literal["unknown_note", "too_long", "not_in_time", "unreadable", "malformed"]
    detail: str
    errors: list[FieldOut] = []


class NoteScores(ScoringAnswer):
    """A result or a problem per note asked for, in order."""

    results: list[NoteScored | NoteProblem]


Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]


class WantedNotes(Body):
    """Which notes, and which page of them: by quality, or by the probability of ``label`` where one is given."""

    sort: Sort | None = None
    order: Literal["desc", "asc"] = "desc"
    label: Name | None = Field(None, description="Whose probability and flag the other parameters are about.")
    min_probability: Share | None = None
    max_probability: Share | None = None
    flagged: bool | None = None
    decision: Decision | None = None
    min_quality: Percent | None = None
    max_quality: Percent | None = None
    category: Name | None = None
    author_id: Id | None = None
    since: Instant | None = Field(None, description="Published (or, if that is unknown, stored) then or later.")
    before: Instant | None = Field(None, description="Published (or, if that is unknown, stored) before then.")
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED)] = MAX_LISTED
    cursor: Text | None = Field(None, max_length=2_048, description="`next_cursor` of the page before this one.")

    def query(self) -> NoteQuery:
        """The query, without the page."""
        values: dict[str, Any] = self.model_dump(exclude={"sort", "order", "limit", "cursor"})
        bounds: dict[str, Any] = {
            name: to_us(one) if isinstance(one, datetime) else one for name, one in values.items()
        }
        sort = self.sort or ("quality" if self.label is None else "probability")
        return NoteQuery(sort, self.order == "desc", **bounds)


class ScoredBy(BaseModel):
    """The model that gave a score."""

    name: str
    version: str
    digest: str


class NoteListed(BaseModel):
    """A note's latest scores: of its ``revision``, by the model's ``version``, as of ``scored_at``.

    ``known_since`` is when it was published or, if that is unknown, stored.
    """

    note_id: str
    revision: int
    author_id: str | None
    category: str | None
    known_since: datetime
    quality: float = Field(ge=0, le=100)
    decision: Decision
    labels: list[LabelScore]
    scored_at: datetime
    model: ScoredBy


class NotesListed(Answer):
    """Notes in order. A page may hold fewer than asked for, even none, and have more after it."""

    results: list[NoteListed]
    has_more: bool
    next_cursor: str | None
