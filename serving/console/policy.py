"""Policy 策略: what is in force, an editor that checks and compares, activation and rollback."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from models.policy.diff import diff
from models.policy.errors import PolicyError, Problem
from models.policy.evaluation import PolicyEvaluator
from serving.console.pages import Page, Pages
from serving.console.refusals import problem_text, refusal
from serving.errors import InvalidError, ServingError
from serving.policies.simulation import Simulation, simulate
from serving.quality import QUALITY
from serving.store.reviewers import Permission

PAGES: Final = Pages()
POLICY: Final = "/console/policy"
_N_CHANGES: Final = 20
SIMULATED: Final = 5_000
"""How many users and notes a simulation looks at here; ``python -m serving policy simulate`` looks at all."""


@PAGES.page("/policy", needs=Permission.RULES)
async def show_policy(page: Page) -> Response:
    """The active policy, the others, and who changed what."""
    return await _policy(page)


@PAGES.page("/policy/check", method="POST", needs=Permission.ADMIN)
async def check(page: Page) -> Response:
    """Say what is wrong with a text, or what it would change."""
    content = _content(page)
    lines: Sequence[str] | None = None
    problems: Sequence[Problem] = ()
    try:
        lines = diff(page.services.policies.active.policy, await page.services.policies.read(content))
    except PolicyError as error:
        problems = error.problems
    return await _policy(page, content=content, lines=lines, problems=problems)


@PAGES.page("/policy/simulate", method="POST", needs=Permission.ADMIN)
async def try_out(page: Page) -> Response:
    """Replay recent scores of some users and notes under a text, and show what would change."""
    content = _content(page)
    try:
        policy = await page.services.policies.read(content)
    except PolicyError:
        return await check(page)
    services, quality = page.services, page.services.slots.champion(QUALITY)
    settings = quality.scorer.settings if quality else None
    evaluators = services.policies.active, PolicyEvaluator(policy)
    found = await simulate(services.replay, *evaluators, settings, now=services.clock(), most=SIMULATED)
    return await _policy(page, content=content, simulation=found)


@PAGES.page("/policy/store", method="POST", needs=Permission.ADMIN)
async def store(page: Page) -> Response:
    """Store a text; with ``activate`` let it answer too."""
    policies = page.services.policies
    try:
        stored = await policies.add(_content(page), who=page.who.reviewer_id, why=_why(page))
        if page.field("activate"):
            await policies.activate(stored.version, who=page.who.reviewer_id, why=_why(page))
    except ServingError as error:
        return await check(page) if error.errors else await _policy(page, content=_content(page), refused=error)
    return page.go(POLICY)


@PAGES.page("/policy/activate", method="POST", needs=Permission.ADMIN)
async def activate(page: Page) -> Response:
    """Let a stored policy answer."""
    try:
        await page.services.policies.activate(page.field("version"), who=page.who.reviewer_id, why=_why(page))
    except ServingError as error:
        return await _policy(page, refused=error)
    return page.go(POLICY)


@PAGES.page("/policy/shadow", method="POST", needs=Permission.ADMIN)
async def shadow(page: Page) -> Response:
    """Let a stored policy be compared with the active one, or none."""
    version = page.field("version") or None
    try:
        await page.services.policies.compare(version, who=page.who.reviewer_id, why=_why(page))
    except ServingError as error:
        return await _policy(page, refused=error)
    return page.go(POLICY)


@PAGES.page("/policy/rollback", method="POST", needs=Permission.ADMIN)
async def roll_back(page: Page) -> Response:
    """Bring the policy before the active one back."""
    try:
        await page.services.policies.roll_back(who=page.who.reviewer_id, why=_why(page))
    except ServingError as error:
        return await _policy(page, refused=error)
    return page.go(POLICY)


async def _policy(
    page: Page,
    *,
    content: str | None = None,
    lines: Sequence[str] | None = None,
    problems: Sequence[Problem] = (),
    simulation: Simulation | None = None,
    refused: ServingError | None = None,
) -> Response:
    policies = page.services.policies
    active = await policies.get(policies.active.policy.version)
    log, stored = await policies.listed()
    names = {one.reviewer_id: one.name for one in await page.services.reviewers.all()}
    values: dict[str, Any] = {
        "active": active,
        "shadow": log.shadow.after if log.shadow else None,
        "stored": stored,
        "changes": await policies.changes(before_no=None, limit=_N_CHANGES),
        "names": names,
        "content": active.content if content is None else content,
        "lines": lines,
        "problems": problems,
        "simulation": simulation,
        "tables": _tables(simulation) if simulation else [],
        "is_admin": page.may(Permission.ADMIN),
        "problem_text": problem_text,
        "why": page.field("why"),
        "chosen": page.field("version"),
        "refused": refused and refusal(page.language, refused),
        "refused_at": page.request.url.path.rpartition("/")[2] if refused else "",
    }
    return page.render("policy.html", status=refused.status if refused else 422 if problems else 200, **values)


def _tables(simulation: Simulation) -> list[list[list[str]]]:
    """What would change, as tables: a cell with a change shows what it was and what it becomes."""
    users = [simulation.after.rows(simulation.before), simulation.after.action_rows(simulation.before)]
    return [*users, simulation.decision_rows()] if simulation.n_notes else users


def _content(page: Page) -> str:
    return page.field("content").replace("\r\n", "\n")


def _why(page: Page) -> str:
    why = page.field("why").strip()
    if not 0 < len(why) <= 500:
        raise InvalidError(page.language.say("请写明原因"))
    return why
