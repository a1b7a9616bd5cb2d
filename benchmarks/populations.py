"""``python -m benchmarks.populations``: whom the shipped policy puts where on the sample community, as Markdown.

Makes the community (5,000 users, 120 days) and a churn model of it, in ``var/bench/populations``, where they are not
there yet: some minutes. Everyone with events is judged as of the end of the log.
"""

import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.world import HOME, run
from features.snapshots import EventLog, Snapshot, log_span
from features.sources import Dataset
from features.user import Seen
from models.bundle import read_bundle
from models.churn.scorer import ChurnScorer
from models.pointer import parse_pointer, pointer_path
from models.policy.evaluation import PolicyEvaluator
from models.policy.populations import Populations, markdown
from models.policy.schema import read_policy
from models.policy.user_facts import ChurnKnown
from serving.policies.live import shipped_policy

N_USERS: Final = 5_000
_HOME: Final = HOME / "populations"
_SAMPLE: Final = _HOME / "sample"
_BUNDLES: Final = _HOME / "bundles"


def main() -> None:
    """Print the tables."""
    with Console(stderr=True).status("making the community and its model"):
        _make()
    policy = PolicyEvaluator(read_policy(shipped_policy().content))
    dataset = Dataset(_SAMPLE, now=time.time_ns() // 1000)
    (snapshot,) = EventLog(dataset, [log_span(dataset)[1]]).snapshots()
    everyone, within, minors, opted_out = _judged(policy, snapshot)
    print(f"{len(snapshot.users):,} users with events, as of the end of the log; policy {policy.policy.version[:12]}\n")
    print(markdown(everyone.rows()), end="\n\n")
    print(markdown(_action_rows(policy, everyone)), end="\n\n")
    print(f"Of them {minors:,} are minors and {opted_out:,} opted out; {within:,} have at least one action.")


def _judged(policy: PolicyEvaluator, snapshot: Snapshot) -> tuple[Populations, int, int, int]:
    scorer = ChurnScorer(read_bundle(_bundle()))
    seen = Seen(snapshot.states, snapshot.as_of)
    probability = scorer.score_seen(seen).probability[:, -1]
    outcomes = policy.users(seen, ChurnKnown(probability, scorer.settings.thresholds[-1]))
    populations = Populations()
    populations.add(policy, outcomes)
    counts: list[Any] = [outcomes.eligible.any(axis=1), seen.states.is_minor, seen.states.personalisation_opt_out]
    with_action, minors, opted_out = (int(one.sum()) for one in counts)
    return populations, with_action, minors, opted_out


def _action_rows(policy: PolicyEvaluator, populations: Populations) -> list[list[str]]:
    """The actions with their limits, and for how many users they are."""
    rows = [["action", "priority", "cooldown", "daily cap", "eligible"]]
    for one in policy.actions:
        cap = "" if one.daily_cap is None else f"{one.daily_cap:,}"
        limits = [str(one.priority), f"{one.cooldown_days} days", cap]
        rows.append([f"`{one.name}`", *limits, f"{populations.by_action[one.name]:,}"])
    return rows


def _make() -> None:
    if pointer_path(_BUNDLES, "churn", "champion").exists():
        return
    home = ("--home", _HOME)
    run("training", "sample", "--users", N_USERS, "--days", 120, "--out", _SAMPLE)
    run("training", *home, "churn", "--data", _SAMPLE, "--report", _HOME / "report.json")
    run("training", *home, "promote", "churn", "--data", _SAMPLE, "--why", "populations")
    run("training", *home, "release", "--bundles", _BUNDLES)


def _bundle() -> Path:
    pointer = parse_pointer(pointer_path(_BUNDLES, "churn", "champion").read_text(encoding="utf-8"))
    return _BUNDLES / "churn" / pointer.digest


if __name__ == "__main__":
    main()
