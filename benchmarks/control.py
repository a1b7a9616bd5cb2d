"""The control: a FastAPI app with the request and response types of users:score that returns a constant.

No keys, no logs, no metrics, no model: what is left is what the framework itself costs.
"""

import sys
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI

from serving.schemas.base import ModelRef
from serving.schemas.users import Churn, PolicySaid, Said, ScoreUsers, UserScore, UserScores

_CHURN = [Churn(horizon_days=days, probability=0.25, threshold=0.5, at_risk=False) for days in (7, 14, 30)]
_RULES = {"a_rule": Said(zh="近 30 天发布过笔记", en="Published within 30 days")}
_ANSWER = UserScores(
    request_id="0123456789abcdef",
    took_ms=0.5,
    model=ModelRef(name="churn", version="1", alias="champion", digest="0" * 64),
    policy_version="0" * 64,
    policy=PolicySaid(tier_rules=_RULES, stage_rules=_RULES, actions={}),
    features_as_of=datetime(2026, 1, 1, tzinfo=UTC),
    results=[
        UserScore(
            user_id="synthetic-u-0000001",
            status="scored",
            churn=_CHURN,
            reasons=[],
            tier="active",
            tier_rule="a_rule",
            stage="engage",
            stage_rule="a_rule",
            actions=[],
            actions_withheld=False,
        )
    ],
)

app = FastAPI()


@app.post("/v1/users:score")
async def score_users(body: ScoreUsers) -> UserScores:
    """Answer, whatever was asked."""
    return _ANSWER


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
