"""Lists whose entries are answered each for itself: one that can't be read spoils no other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from pydantic import GetCoreSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

from features.ids import is_id
from serving.errors import FieldProblem, field_problem
from serving.schemas.problems import FieldOut

MALFORMED: Final[Literal["malformed"]] = "malformed"
DETAIL: Final = "the entry breaks its schema: errors says where"

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Malformed:
    """An entry that breaks its schema, as it came, and what is wrong with it."""

    given: Any
    errors: tuple[FieldProblem, ...]

    def named(self, name: str) -> str | None:
        """The id that the entry has under a name, if it is one."""
        found = self.given.get(name) if isinstance(self.given, dict) else None
        return found if isinstance(found, str) and is_id(found) else None

    def said(self, field: str) -> list[FieldOut]:
        """What is wrong, as an answer says it of a list that is a field of the body."""
        return [FieldOut(pointer=f"/{field}{one.pointer}", code=one.code, detail=one.detail) for one in self.errors]


@dataclass(frozen=True, slots=True)
class EachOf:
    """Marks a list of 1 to ``most`` entries of a type, of which some may be ``Malformed``.

    What is no such list, or has no entry that can be read, is refused whole.
    """

    entry: Any
    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """See pydantic: to callers it is the list of entries that it is meant to be."""
        entry = handler.generate_schema(self.entry)
        entries = core_schema.list_schema(entry, min_length=1, max_length=self.most)
        return core_schema.no_info_wrap_validator_function(_read, entries)


def _read(given: Any, read: ValidatorFunctionWrapHandler) -> list[Any]:
    try:
        good: list[Any] = read(given)
    except ValidationError as error:
        problems = _by_entry(given, error)
        if () in {one["loc"] for one in error.errors()} or len(problems) == len(given):
            raise
        good = read([one for place, one in enumerate(given) if place not in problems])
        return merged([problems.get(place, one) for place, one in enumerate(given)], good)
    return good


def _by_entry(given: Any, error: ValidationError) -> dict[int, Malformed]:
    found: dict[int, list[FieldProblem]] = {}
    for one in error.errors(include_url=False):
        place, *steps = one["loc"] or (None,)
        if isinstance(place, int):
            kind = given[place].get("kind") if isinstance(given[place], dict) else None
            path = steps[1:] if steps and steps[0] == kind else steps  # the branch of a union is no step of the body
            found.setdefault(place, []).append(field_problem({**one, "loc": ("body", place, *path)}))
    return {place: Malformed(given[place], tuple(own)) for place, own in found.items()}


def well_formed(entries: Sequence[T | Malformed]) -> list[T]:
    """The entries that could be read, in order."""
    return [one for one in entries if not isinstance(one, Malformed)]


def merged(entries: Sequence[T | Malformed], results: Sequence[R]) -> list[R | Malformed]:
    """The results of those that could be read in their places, the others as they are."""
    of_good = iter(results)
    return [one if isinstance(one, Malformed) else next(of_good) for one in entries]
