"""What each KPI is: its name in JSON, and what it means in words for people."""

from typing import Final, NamedTuple

from features.wording import Text


class Definition(NamedTuple):
    """A KPI's name and how it is worked out."""

    name: Text
    text: Text


DEFINITIONS: Final = {
    "active_users": Definition(
        Text("日活跃用户", "Daily active users"),
        Text("当日有主动行为的用户数（曝光不算）", "Users with any activity on the day; impressions are none"),
    ),
    "weekly_active_users": Definition(
        Text("周活跃用户", "Weekly active users"),
        Text("截至当日的 7 天内有主动行为的用户数", "Users with any activity in the 7 days that end with the day"),
    ),
    "monthly_active_users": Definition(
        Text("月活跃用户", "Monthly active users"),
        Text("截至当日的 30 天内有主动行为的用户数", "Users with any activity in the 30 days that end with the day"),
    ),
    "new_users": Definition(
        Text("新增用户", "New users"),
        Text("当日首次有主动行为的用户数", "Users whose first activity of all was on the day"),
    ),
    "use_minutes": Definition(
        Text("人均使用时长", "Use time"),
        Text("当日阅读时长（分钟）÷ 日活跃用户", "Minutes of reading on the day per daily active user"),
    ),
    "engagement_rate": Definition(
        Text("互动率", "Engagement rate"),
        Text(
            "点赞、收藏、评论、分享、关注次数 ÷ 阅读次数",
            "Likes, collects, comments, shares and follows on the day per read",
        ),
    ),
    "click_rate": Definition(
        Text("点击率", "Click rate"), Text("点击次数 ÷ 曝光次数", "Clicks on the day per impression")
    ),
    "conversion": Definition(
        Text("转化率", "Conversion"),
        Text("当日有购买的用户数 ÷ 日活跃用户", "Users who bought on the day per daily active user"),
    ),
    "publishes": Definition(Text("发布笔记数", "Notes published"), Text("当日发布次数", "Publish events on the day")),
    "spent": Definition(Text("消费金额", "Spent"), Text("当日购买金额合计", "The sum of purchases on the day")),
}
"""Those that there is a value of for each day."""
