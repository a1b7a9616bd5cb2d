"""What the app is made of: every service, over measured stores, by the settings."""

import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from models.recommend.feed import FeedRules
from models.recommend.rerank.arrange import Arrangement
from serving.assigning import Assigning, Shares
from serving.audit import AuditLog
from serving.background import Jobs
from serving.catalogue import Catalogues
from serving.churn import CHURN, ChurnScoring
from serving.contacts import Contacts
from serving.deps import Services
from serving.errors import ServingError
from serving.folding import Folder
from serving.health import Health
from serving.inference import Inference
from serving.ingest import Ingest
from serving.instants import Clock
from serving.interests import Interests
from serving.kpis.rolling import Rolling
from serving.lists import UserLists
from serving.members import Members
from serving.metrics import Metrics
from serving.model_changes import ModelChanges
from serving.note_lists import NoteLists
from serving.note_reading import NoteReading
from serving.notes import Notes
from serving.policies.deciding import NoteDeciding, Sources
from serving.policies.live import Policies
from serving.policies.simulation import Replay
from serving.quality import QUALITY, NoteScoring
from serving.queues import Queues, queues_of
from serving.rate_limits import RateLimits
from serving.recommend import Recommending
from serving.recommendation_log import RecommendationWriter
from serving.recommender import RECOMMEND
from serving.reports import Reports
from serving.retention import Kept, Retention
from serving.reviewers import Reviewers
from serving.reviews.callbacks import Callbacks, Receiver, public_address
from serving.reviews.desk import Desk
from serving.reviews.opening import Opening
from serving.reviews.reported import ReportedNotes
from serving.reviews.summary import Summaries
from serving.reviews.voices import Voices
from serving.rights import Rights
from serving.security import KeyRing
from serving.settings import Settings
from serving.slots import Slots
from serving.store.measured import measured
from serving.store.stores import Stores
from serving.troubles import Troubles
from serving.uplift import Uplifts
from serving.workers import Workers

if TYPE_CHECKING:
    from serving.oidc import IdentityProvider


class _Ground(NamedTuple):
    """What services stand on."""

    settings: Settings
    stores: Stores
    workers: Workers
    metrics: Metrics
    clock: Clock


def compose(settings: Settings, stores: Stores, workers: Workers, metrics: Metrics, clock: Clock) -> Services:
    """Every service; nothing runs yet."""
    kept = Stores._make(measured(one, name, metrics) for name, one in stores._asdict().items())
    on = _Ground(settings, kept, workers, metrics, clock)
    metrics.notes_waiting.set_function(lambda: workers.n_pieces)
    for task in (CHURN, QUALITY, RECOMMEND):
        metrics.model_required.labels(task.model).set(task.model in settings.required_models)
    folder, jobs = Folder(kept.journal, kept.states, workers), Jobs(metrics)
    slots = Slots(settings.bundles, [CHURN, QUALITY, RECOMMEND], metrics=metrics, clock=clock)
    retention, policies = _retention(on), Policies(kept.policies, workers, metrics=metrics, clock=clock)
    churn = ChurnScoring(slots, policies, folder, workers, retention, metrics=metrics, clock=clock)
    sources = Sources(folder, kept.reviews)
    deciding = NoteDeciding(policies, sources, metrics=metrics)
    quality, catalogues = _quality(on, slots, deciding), Catalogues(slots, kept.catalogue, metrics=metrics)
    opening = Opening(kept.reviews, sample_share=settings.review_sample_share, clock=clock)
    queues = Queues(queues_of(kept, slots, clock=clock), metrics=metrics, clock=clock)
    recommendation_log = RecommendationWriter(kept.recommendations, metrics=metrics)
    shares = Shares(settings.action_holdout_share, settings.action_control_share, settings.action_salt)
    audit = AuditLog(kept.audit, clock=clock)
    assigning = Assigning(kept.assignments, churn, shares=shares, clock=clock)
    contacts = Contacts(folder, kept.assignments, assigning, policies, clock=clock)
    return Services(
        journal=kept.journal,
        states=kept.states,
        key_ring=_key_ring(on),
        audit=audit,
        model_changes=ModelChanges(slots, audit),
        slots=slots,
        folder=folder,
        ingest=Ingest(kept.journal, folder, metrics=metrics, clock=clock),
        churn=churn,
        notes=_notes(on),
        quality=quality,
        note_lists=NoteLists(kept.note_scores),
        policies=policies,
        replay=Replay(kept.journal, kept.scores, kept.note_scores, sources),
        assigning=assigning,
        uplifts=Uplifts(kept.assignments, shares=shares, clock=clock),
        kpis=Rolling(kept.kpis, kept.journal, folder, slots, policies, workers, every_s=settings.kpi_s, clock=clock),
        reading=NoteReading(slots, deciding, kept.catalogue, kept.notes, opening, workers, clock=clock),
        desk=_desk(on),
        callbacks=_callbacks(on),
        reported=_reported(on, slots, deciding, opening),
        voices=Voices(kept.reviews, kept.notes, quality, opening, clock=clock),
        reviewers=Reviewers(kept.reviewers, clock=clock),
        identity_provider=_identity_provider(settings),
        summaries=Summaries(kept.reviews, kept.reviewers, clock=clock),
        catalogues=catalogues,
        recommending=_recommending(on, catalogues, recommendation_log, policies),
        recommendation_log=recommendation_log,
        reports=Reports(kept.recommendations, clock=clock),
        interests=Interests(kept.journal, kept.notes, clock=clock),
        health=_health(on, slots),
        rights=_rights(on),
        retention=retention,
        lists=UserLists(kept.scores, contacts),
        contacts=contacts,
        members=Members(kept.kpis, kept.scores, contacts),
        inference=Inference(workers),
        workers=workers,
        jobs=jobs,
        queues=queues,
        troubles=Troubles(jobs, slots, policies, folder, queues),
        metrics=metrics,
        clock=clock,
        max_body_bytes=settings.max_body_bytes,
        console_https=settings.console_https or (settings.console_url or "").startswith("https:"),
        trusted_proxies=settings.trusted_proxies,
    )


def _key_ring(on: _Ground) -> KeyRing:
    limits = RateLimits(on.settings.rate_limit_per_s, metrics=on.metrics)
    return KeyRing(on.stores.keys, limits, open_access=on.settings.open_access, clock=on.clock)


def _health(on: _Ground, slots: Slots) -> Health:
    return Health(
        on.stores.journal,
        on.stores.states,
        slots,
        required_models=on.settings.required_models,
        metrics=on.metrics,
        max_age_s=on.settings.health_max_age_s,
    )


def _retention(on: _Ground) -> Retention:
    settings, stores = on.settings, on.stores
    return Retention(
        stores.journal,
        stores.keys,
        [
            Kept(stores.recommendations.retire, settings.retention_recommendations_days),
            Kept(stores.assignments.retire, settings.retention_assignments_days),
            Kept(stores.reviews.retire_changes, settings.retention_review_changes_days),
            Kept(stores.reviewers.retire_sessions, 0),
            Kept(stores.audit.retire, settings.retention_audit_days),
        ],
        events_days=settings.retention_events_days,
        keys_days=settings.retention_keys_days,
        clock=on.clock,
    )


def _rights(on: _Ground) -> Rights:
    kept = on.stores
    by_users = kept.journal, kept.states, kept.scores, kept.notes, kept.reviews
    for_users = kept.recommendations, kept.assignments, kept.kpis
    return Rights(kept.erasures, *by_users, *for_users, metrics=on.metrics, clock=on.clock)


def _notes(on: _Ground) -> Notes:
    return Notes(
        on.stores.notes,
        on.workers,
        days=on.settings.retention_notes_days,
        near_duplicates_among=on.settings.near_duplicates_among,
        metrics=on.metrics,
        clock=on.clock,
    )


def _quality(on: _Ground, slots: Slots, deciding: NoteDeciding) -> NoteScoring:
    timeout_s = on.settings.note_timeout_s
    stands_on = slots, deciding, on.stores.notes, on.workers
    return NoteScoring(*stands_on, timeout_s=timeout_s, metrics=on.metrics, clock=on.clock)


def _reported(on: _Ground, slots: Slots, deciding: NoteDeciding, opening: Opening) -> ReportedNotes:
    stands_on = on.stores.reviews, on.stores.notes, slots, deciding, opening, on.workers
    return ReportedNotes(*stands_on, clock=on.clock)


def _desk(on: _Ground) -> Desk:
    return Desk(
        on.stores.reviews,
        lease_s=on.settings.review_lease_s,
        second_share=on.settings.review_second_share,
        tells=on.settings.callback_url is not None,
        metrics=on.metrics,
        clock=on.clock,
    )


def _callbacks(on: _Ground) -> Callbacks | None:
    url, secret = on.settings.callback_url, on.settings.callback_secret
    if url is None or secret is None:
        return None
    signing, context = secret.get_secret_value().encode(), ssl.create_default_context()
    receiver = Receiver(urlsplit(str(url)), signing, public_address, context)
    return Callbacks(on.stores.reviews, receiver, metrics=on.metrics, clock=on.clock)


def _identity_provider(settings: Settings) -> "IdentityProvider | None":
    issuer, client_id, secret = settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret
    if issuer is None or client_id is None or secret is None:
        return None
    try:
        from serving.oidc import IdentityProvider
    except ModuleNotFoundError as error:
        raise ServingError("MINGJIAN_OIDC_ISSUER needs Authlib: pip install '.[serve,oidc]'") from error
    redirect_uri = f"{settings.console_url}".rstrip("/") + "/console/oidc/callback"
    return IdentityProvider(
        issuer, client_id, secret.get_secret_value(), claim=settings.oidc_claim, redirect_uri=redirect_uri
    )


def _recommending(on: _Ground, catalogues: Catalogues, log: RecommendationWriter, policies: Policies) -> Recommending:
    settings = on.settings
    arrangement = Arrangement(
        diversity=settings.recommend_diversity,
        per_author=settings.recommend_per_author,
        support_every=settings.recommend_support_every,
    )
    rules = FeedRules(
        arrangement, min_quality=settings.recommend_min_quality, explore_share=settings.recommend_explore_share
    )
    stands_on = catalogues, on.stores.journal, on.stores.notes, log, policies, on.workers
    return Recommending(*stands_on, rules=rules, metrics=on.metrics, clock=on.clock)
