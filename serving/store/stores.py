"""The stores that the settings name: the journal with the keys and the scores, and the states.

PostgreSQL's and Redis's drivers are loaded only where they are used: what serves from SQLite starts without them.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple

from serving.settings import Settings
from serving.store.assignments import AssignmentStore
from serving.store.audit import AuditStore
from serving.store.catalogue import CatalogueStore
from serving.store.database import Database
from serving.store.erasure import ErasureLog
from serving.store.journal import Journal
from serving.store.keys import KeyStore
from serving.store.kpis import KpiStore
from serving.store.note_scores import NoteScoreStore
from serving.store.notes import NoteStore
from serving.store.policies import PolicyStore
from serving.store.recommendations import RecommendationLog
from serving.store.reviewers import ReviewerStore
from serving.store.reviews import ReviewStore
from serving.store.scores import ScoreStore
from serving.store.sql_assignments import SqlAssignments
from serving.store.sql_audit import SqlAudit
from serving.store.sql_catalogue import SqlCatalogue
from serving.store.sql_erasures import SqlErasures
from serving.store.sql_journal import SqlJournal
from serving.store.sql_keys import SqlKeys
from serving.store.sql_kpis import SqlKpis
from serving.store.sql_note_scores import SqlNoteScores
from serving.store.sql_notes import SqlNotes
from serving.store.sql_policies import SqlPolicies
from serving.store.sql_recommendations import SqlRecommendations
from serving.store.sql_reviewers import SqlReviewers
from serving.store.sql_reviews import SqlReviews
from serving.store.sql_scores import SqlScores
from serving.store.sqlite_file import open_sqlite, server_lock
from serving.store.sqlite_states import SqliteStates
from serving.store.state import StateStore

_DAY_S = 24 * 3600


class Stores(NamedTuple):
    """Everything that is kept."""

    journal: Journal
    keys: KeyStore
    erasures: ErasureLog
    states: StateStore
    notes: NoteStore
    catalogue: CatalogueStore
    recommendations: RecommendationLog
    note_scores: NoteScoreStore
    scores: ScoreStore
    policies: PolicyStore
    reviews: ReviewStore
    reviewers: ReviewerStore
    assignments: AssignmentStore
    kpis: KpiStore
    audit: AuditStore


@contextmanager
def only_server(settings: Settings) -> Iterator[None]:
    """Be the only server on the SQLite file, if there is one; StoreInUseError while another is."""
    if settings.journal_url and settings.state_url:
        yield
    else:
        with server_lock(settings.database):
            yield


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """The stores, migrated; StoreError where a database can't be opened."""
    async with AsyncExitStack() as stack:
        database = await _journal_database(settings, stack)
        states = await _states(settings, stack, database)
        yield Stores(
            SqlJournal(database),
            SqlKeys(database),
            SqlErasures(database),
            states,
            SqlNotes(database),
            SqlCatalogue(database),
            SqlRecommendations(database),
            SqlNoteScores(database),
            SqlScores(database),
            SqlPolicies(database),
            SqlReviews(database),
            SqlReviewers(database),
            SqlAssignments(database),
            SqlKpis(database),
            SqlAudit(database),
        )


async def _journal_database(settings: Settings, stack: AsyncExitStack) -> Database:
    if settings.journal_url is None:
        return await stack.enter_async_context(open_sqlite(settings.database, timeout_s=settings.store_timeout_s))
    from serving.store.postgres import open_postgres

    opening = open_postgres(str(settings.journal_url.get_secret_value()), timeout_s=settings.store_timeout_s)
    return await stack.enter_async_context(opening)


async def _states(settings: Settings, stack: AsyncExitStack, journal: Database) -> StateStore:
    if settings.state_url is None and settings.journal_url is None:
        return SqliteStates(journal)
    if settings.state_url is None:
        opening = open_sqlite(settings.database, timeout_s=settings.store_timeout_s)
        return SqliteStates(await stack.enter_async_context(opening))
    from serving.store.redis_states import open_redis

    return await stack.enter_async_context(
        open_redis(
            str(settings.state_url.get_secret_value()),
            ttl_s=settings.state_ttl_days * _DAY_S,
            timeout_s=settings.store_timeout_s,
            prefix=settings.state_prefix,
        )
    )
