"""How recommendations did."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from serving.instants import Clock
from serving.store.recommendations import By, Rate, RecommendationLog

MONTH_US: Final = 30 * 86_400_000_000
_Z: Final = 1.959964


class ClickRate(NamedTuple):
    """The clicked among the exposed, with a 95% interval; all None where nothing was exposed."""

    rate: Rate
    ctr: float | None
    low: float | None
    high: float | None


class Reports:
    """Reports on what was recommended."""

    def __init__(self, log: RecommendationLog, *, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def recommendations(self, by: By, *, since: int | None, before: int | None) -> Sequence[ClickRate]:
        """The click rates of a stretch of time, by default the last 30 days, by kind."""
        end = self._clock() + 1 if before is None else before
        start = end - MONTH_US if since is None else since
        return [_click_rate(one) for one in await self._log.rates(by, since=start, before=end)]


def _click_rate(rate: Rate) -> ClickRate:
    """Wilson's interval (1927): it holds for few, and for rates near 0."""
    n, clicked = rate.n_exposed, rate.n_clicked
    if not n:
        return ClickRate(rate, None, None, None)
    share, spread = clicked / n, _Z * _Z / n
    middle = (share + spread / 2) / (1 + spread)
    margin = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return ClickRate(rate, share, max(0.0, middle - margin), min(1.0, middle + margin))
