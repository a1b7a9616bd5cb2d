"""Models 模型: what is live in which slot, by which gates it came, and what was refused."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from serving.console.bars import bars_of
from serving.console.pages import Page, Pages
from serving.kpis.rolling import ALL
from serving.store.reviewers import Permission

PAGES: Final = Pages()


class GateRow(NamedTuple):
    """A gate that a release passed: what was measured, and what was demanded; ``passed`` is None for a plain figure."""

    name: str
    value: str
    demanded: str
    passed: bool | None


@PAGES.page("/models", needs=Permission.RULES)
async def show_models(page: Page) -> Response:
    """The slots."""
    slots = page.services.slots
    live = [(one, [_gate(*gate) for gate in one.pointer.gates.items() if gate[0] != "passed"]) for one in slots.live()]
    kpis = await page.services.kpis.of(since=None, before=None, segment=ALL)
    bars = bars_of(page.language, kpis.latest)
    return page.render("models.html", live=live, bars=bars, refused=list(slots.refused()))


def _gate(name: str, said: Any) -> GateRow:
    if not isinstance(said, Mapping):
        return GateRow(name, _shown(said), "—", None)
    bounds = [f"{sign} {_shown(said[key])}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in said]
    passed = said.get("passed")
    return GateRow(name, _shown(said.get("value")), ", ".join(bounds) or "—", None if passed is None else bool(passed))


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
