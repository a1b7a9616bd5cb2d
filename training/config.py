"""Settings of a run: a TOML file, checked as it is read."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from training.errors import ConfigError


class Table(BaseModel):
    """A table of settings: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Settings = TypeVar("Settings", bound=Table)


def read_config(file: Path | None, settings: type[Settings]) -> Settings:
    """The settings in a TOML file, or the defaults without one; ConfigError names the key and the value."""
    if file is None:
        return settings()
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        return settings.model_validate(data)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    except ValidationError as error:
        raise ConfigError("\n".join(f"{file}: {_problem(one)}" for one in error.errors())) from error


def _problem(one: Mapping[str, Any]) -> str:
    key, what = ".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")
    return f"{key}: {what}, got {one['input']!r}"
