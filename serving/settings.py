"""What can be set, by environment variables named ``MINGJIAN_<NAME>``."""

import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AnyUrl,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    PostgresDsn,
    Secret,
    UrlConstraints,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from features.state import RETAINED_DAYS
from serving.errors import SettingsError
from serving.store.audit import KEPT_DAYS

_OTHERS: Final = {"MINGJIAN_REVISION"}
"""What the trainers read."""
_NOT_OURS: Final = re.compile(r"MINGJIAN_(TEST_|SERVICE_HOST$|SERVICE_PORT|PORT_\d)")
"""What tests read, and what Kubernetes sets in every container beside a service named ``mingjian``."""


def _secure_url(url: str) -> str:
    """The URL as it was given (an issuer is compared letter by letter): https, or http on this machine alone."""
    parts = urlsplit(url)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) not in {("http", "localhost"), ("http", "127.0.0.1")}:
        raise ValueError("expected an https:// URL")
    return url


def _listed(value: object) -> object:
    """The parts of a text, as a list is written in an environment variable."""
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


_Seconds: TypeAlias = Annotated[float, Field(ge=0.01, le=86_400)]
"""From what a clock can tell (PostgreSQL takes less than a millisecond for no limit at all) to a day."""
_RedisUrl: TypeAlias = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["redis", "rediss", "unix"])]


class Settings(BaseSettings):
    """The server's settings, fixed for its life."""

    model_config = SettingsConfigDict(env_prefix="MINGJIAN_", frozen=True)

    data_dir: Path = Field(default=Path("var"), description="Where the database and, by default, the bundles lie.")
    bundles_dir: Path | None = Field(default=None, description="Where releases arrive (bundles/ in data_dir).")
    journal_url: Secret[PostgresDsn] | None = Field(
        default=None, description="PostgreSQL for the journal and the keys (SQLite in data_dir)."
    )
    state_url: Secret[_RedisUrl] | None = Field(
        default=None, description="Redis for the states (SQLite in data_dir): redis://, rediss:// or unix://."
    )
    state_prefix: str = Field(
        default="mingjian",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="What Redis keys begin with: another for each deployment that shares one Redis database.",
    )
    state_ttl_days: int = Field(
        default=RETAINED_DAYS,
        gt=0,
        le=36_500,
        description="How long Redis keeps a state that nothing changes.",
    )
    store_timeout_s: _Seconds = Field(default=2, description="How long a store may take before a request fails.")
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on.")
    metrics_port: int | None = Field(
        default=None,
        gt=0,
        le=65535,
        description="A port for /metrics alone, which the other then lacks (on the same port).",
    )
    health_max_age_s: float = Field(
        default=1, ge=0, le=86_400, description="How old what /readyz and /metrics say may be, however many ask."
    )
    header_timeout_s: _Seconds = Field(default=10, description="How long a request's headers may take to come.")
    body_timeout_s: _Seconds = Field(
        default=30, description="How long a body may take to come, and a caller to read a part of its answer."
    )
    max_connections: int = Field(default=1_000, gt=0, description="How many connections may be open at once.")
    max_body_bytes: int = Field(default=1 << 20, gt=0, description="The largest request body.")
    max_in_flight: int = Field(default=128, gt=0, description="How many requests may be under way at once.")
    rate_limit_per_s: int = Field(
        default=0,
        ge=0,
        description="How often a key may ask each server, unless it has a limit of its own; 0: no limit.",
    )
    open_access: bool = Field(default=False, description="Answer without API keys: for development only.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="The least to log.")
    required_models: frozenset[Literal["churn", "quality", "recommend"]] = Field(
        default=frozenset(("churn",)), description="The models without whose champion the server is not ready."
    )
    note_threads: int = Field(default=2, gt=0, le=256, description="How many threads score notes.")
    note_timeout_s: _Seconds = Field(default=5, description="How long a request waits for its notes' scores.")
    max_notes_waiting: int = Field(
        default=1_000, ge=200, description="How many notes may wait for their scores at once."
    )
    near_duplicates_among: int = Field(
        default=1_000_000, ge=0, description="Among how many of the newest notes near-duplicates are looked for."
    )
    retention_notes_days: int = Field(
        default=3 * 365, gt=0, le=36_500, description="How long after its last change a note is kept."
    )
    retention_events_days: int = Field(
        default=3 * 365,
        gt=RETAINED_DAYS,
        le=36_500,
        description="How long after their receipt events are kept, at least.",
    )
    retention_keys_days: int = Field(
        default=365, ge=0, le=36_500, description="How long revoked and expired keys are listed."
    )
    retention_review_changes_days: int = Field(
        default=3 * 365, gt=0, le=36_500, description="How long what was done to reviews stays on record."
    )
    retention_audit_days: int = Field(
        default=3 * 365, ge=KEPT_DAYS, le=36_500, description="How long the audit log keeps who did what."
    )
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(),
        description="The proxies (addresses, networks) whose X-Forwarded-For says where requests come from.",
    )
    retention_assignments_days: int = Field(
        default=365, gt=90, le=36_500, description="How long assigned actions stay on record."
    )
    retention_recommendations_days: int = Field(
        default=180, gt=0, le=36_500, description="How long what was recommended stays on record."
    )
    recommend_diversity: float = Field(
        default=0.3,
        ge=0,
        le=10,
        description="What being unlike the notes before is worth beside relevance; 0: nothing.",
    )
    recommend_min_quality: float = Field(
        default=0,
        ge=0,
        le=100,
        description="The quality below which a note is not recommended, beside what the quality model would limit.",
    )
    recommend_per_author: int = Field(
        default=2, gt=0, description="How many of any ten notes in a row an author may have."
    )
    recommend_support_every: int = Field(
        default=10, ge=0, description="Every so many places one is kept for new authors; 0: none is."
    )
    recommend_explore_share: float = Field(
        default=0.02, ge=0, le=0.5, description="The share of feeds that look beyond the best notes, to learn from."
    )
    action_holdout_share: float = Field(
        default=0.02, ge=0, le=0.5, description="The share of users for whom no action is done, to compare with."
    )
    action_control_share: float = Field(
        default=0.1,
        ge=0,
        le=0.9,
        description="The share of an action's users for whom it is not done, to compare with.",
    )
    action_salt: str = Field(default="", description="Another text draws anew who is held out.")
    callback_url: Annotated[AnyUrl, UrlConstraints(allowed_schemes=["https"], host_required=True)] | None = Field(
        default=None, description="Where decisions about notes are told."
    )
    callback_secret: Secret[str] | None = Field(default=None, description="What signs them; needed with the URL.")
    kpi_s: _Seconds = Field(default=3_600, description="How often the KPIs are rolled up.")
    console_https: bool = Field(
        default=False, description="Send the console's cookies over HTTPS alone, as an https console_url does."
    )
    console_url: Annotated[str, AfterValidator(_secure_url)] | None = Field(
        default=None, description="Where browsers find this server: identity providers send them back there."
    )
    oidc_issuer: Annotated[str, AfterValidator(_secure_url)] | None = Field(
        default=None, description="The OpenID provider that people may sign in to the console with."
    )
    oidc_client_id: str | None = Field(default=None, description="Who this server is to it.")
    oidc_client_secret: Secret[str] | None = Field(default=None, description="What proves that.")
    oidc_claim: str = Field(default="email", description="The claim by whose name an account asks to be a person.")
    review_lease_s: _Seconds = Field(default=600, description="How long a review is a reviewer's who claimed it.")
    review_sample_share: float = Field(
        default=0.01, ge=0, le=1, description="The share of all notes that people look at, whatever models say of them."
    )
    review_second_share: float = Field(
        default=0.05, ge=0, le=1, description="The share of decisions that a second reviewer checks."
    )
    poll_s: _Seconds = Field(default=0.5, description="How often to look for new releases and policies.")
    repair_s: _Seconds = Field(default=5, description="How often to look for facts that are not in the states yet.")

    @model_validator(mode="after")
    def _has_all(self) -> Self:
        if (self.callback_url is None) != (self.callback_secret is None):
            raise ValueError("callback_url and callback_secret go together")
        of_oidc = (self.oidc_issuer, self.oidc_client_id, self.oidc_client_secret, self.console_url)
        if any(of_oidc) and not all(of_oidc):
            raise ValueError("oidc_issuer, oidc_client_id, oidc_client_secret and console_url go together")
        return self

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "mingjian.db"

    @property
    def bundles(self) -> Path:
        """The folder of releases."""
        return self.bundles_dir or self.data_dir / "bundles"


def read_settings() -> Settings:
    """The settings of the environment; SettingsError where a variable is named like a setting and is none."""
    known = {f"MINGJIAN_{name.upper()}" for name in Settings.model_fields} | _OTHERS
    named = {name.upper() for name in os.environ if name.upper().startswith("MINGJIAN_")}
    unknown = sorted(name for name in named - known if not _NOT_OURS.match(name))
    if unknown:
        raise SettingsError("; ".join(_unknown(name, known) for name in unknown))
    return Settings()


def _unknown(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"{name}: there is no such setting" + "".join(f"; did you mean {one}?" for one in near)
