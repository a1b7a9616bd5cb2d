"""What a policy can say of users and notes: the names in tables and JSON, and the words for people."""

from enum import StrEnum
from typing import Final

from features.wording import Text


class Tier(StrEnum):
    """A user's standing in the community, lowest first."""

    ORDINARY = "ordinary"
    ACTIVE = "active"
    KOC = "koc"
    HEAD_CREATOR = "head_creator"


class Stage(StrEnum):
    """Where a user is in their life in the community."""

    EXPLORE = "explore"
    NURTURE = "nurture"
    ENGAGE = "engage"
    LOYAL = "loyal"
    ADVOCATE = "advocate"
    CHURN_WARNING = "churn_warning"


class ActionKind(StrEnum):
    """What operations can do for a user."""

    NEWCOMER_GUIDE = "newcomer_guide"
    NEWCOMER_TASKS = "newcomer_tasks"
    COMMUNITY_HONOURS = "community_honours"
    TRAFFIC_SUPPORT = "traffic_support"
    BUSINESS_TRAINING = "business_training"
    DEDICATED_SERVICE = "dedicated_service"
    WIN_BACK = "win_back"


class Decision(StrEnum):
    """For a note: give it reach, leave it be, give it less, have a person look, or keep it from everyone."""

    PROMOTE = "promote"
    PASS = "pass"  # noqa: S105
    LIMIT = "limit"
    REVIEW = "review"
    BLOCK = "block"


SHOWN: Final = (Decision.PASS, Decision.PROMOTE)
"""What leaves a note in feeds."""

NOT_MARKETING: Final = frozenset((ActionKind.NEWCOMER_GUIDE, ActionKind.NEWCOMER_TASKS, ActionKind.COMMUNITY_HONOURS))
"""What may be done for a minor: help and thanks. Every other kind wants something of the user."""

WORDS: Final[dict[StrEnum, Text]] = {
    Tier.ORDINARY: Text("普通用户", "Ordinary user"),
    Tier.ACTIVE: Text("活跃用户", "Active user"),
    Tier.KOC: Text("KOC", "KOC"),
    Tier.HEAD_CREATOR: Text("头部达人", "Head creator"),
    Stage.EXPLORE: Text("新用户探索期", "Explore"),
    Stage.NURTURE: Text("兴趣培养期", "Nurture"),
    Stage.ENGAGE: Text("活跃参与期", "Engage"),
    Stage.LOYAL: Text("忠实拥护期", "Loyal"),
    Stage.ADVOCATE: Text("推荐传播期", "Advocate"),
    Stage.CHURN_WARNING: Text("流失预警期", "Churn warning"),
    ActionKind.NEWCOMER_GUIDE: Text("新手引导", "Newcomer guide"),
    ActionKind.NEWCOMER_TASKS: Text("新手任务", "Newcomer tasks"),
    ActionKind.COMMUNITY_HONOURS: Text("社区荣誉", "Community honours"),
    ActionKind.TRAFFIC_SUPPORT: Text("流量扶持", "Traffic support"),
    ActionKind.BUSINESS_TRAINING: Text("商业培训", "Business training"),
    ActionKind.DEDICATED_SERVICE: Text("专属服务", "Dedicated service"),
    ActionKind.WIN_BACK: Text("流失召回", "Win-back"),
    Decision.PROMOTE: Text("推荐", "Promote"),
    Decision.PASS: Text("通过", "Pass"),
    Decision.LIMIT: Text("限流", "Limit"),
    Decision.REVIEW: Text("人工审核", "Review"),
    Decision.BLOCK: Text("屏蔽", "Block"),
}
