"""``python -m serving policy``: check a file, say what it changes, and replay recent scores under it."""

import argparse
import asyncio
from contextlib import closing
from pathlib import Path
from typing import Final

from models.pointer import pointer_path
from models.policy.diff import diff
from models.policy.errors import PolicyError
from models.policy.evaluation import PolicyEvaluator
from models.policy.policy import Policy
from models.policy.populations import markdown
from models.policy.schema import read_policy
from serving.errors import ServingError
from serving.folding import Folder
from serving.instants import now_us, to_datetime
from serving.metrics import Metrics
from serving.policies.deciding import Sources
from serving.policies.live import Policies
from serving.policies.simulation import Replay, Simulation, simulate
from serving.quality import QUALITY
from serving.settings import Settings
from serving.slots import released_champion
from serving.store.stores import Stores, open_stores
from serving.workers import Workers

_AGAINST: Final = "another policy file (the active policy)"


def add_policy_commands(parser: argparse.ArgumentParser) -> None:
    """Let the command line have them."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="say what is wrong with a file, by line")
    compare = commands.add_parser("diff", help="say what a file says otherwise than the active policy")
    simulate = commands.add_parser("simulate", help="replay recent scores under a file, and print what would change")
    for command, run in ((check, _check), (compare, _diff), (simulate, _simulate)):
        command.add_argument("file", type=Path, metavar="FILE", help="a policy")
        command.set_defaults(command=run)
    for command in (compare, simulate):
        command.add_argument("--against", type=Path, metavar="FILE", help=_AGAINST)


def _check(_: Settings, options: argparse.Namespace) -> None:
    policy = _read(options.file)
    n_rules = len(policy.tiers) + len(policy.stages) + len(policy.notes)
    print(f"{options.file} is a policy: {n_rules} rules, {len(policy.actions)} actions, version {policy.version}")


def _diff(settings: Settings, options: argparse.Namespace) -> None:
    new = _read(options.file)

    async def before() -> Policy:
        async with open_stores(settings) as stores:
            with closing(Workers()) as workers:
                return (await _against(stores, workers, options)).policy

    lines = diff(asyncio.run(before()), new)
    print("\n".join(lines) if lines else "nothing changes")


def _simulate(settings: Settings, options: argparse.Namespace) -> None:
    print(_report(asyncio.run(_simulated(settings, options, PolicyEvaluator(_read(options.file))))))


async def _simulated(settings: Settings, options: argparse.Namespace, other: PolicyEvaluator) -> Simulation:
    async with open_stores(settings) as stores:
        with closing(Workers()) as workers:
            sources = Sources(Folder(stores.journal, stores.states, workers), stores.reviews)
            replay = Replay(stores.journal, stores.scores, stores.note_scores, sources)
            scored = None
            if pointer_path(settings.bundles, QUALITY.model, "champion").exists():
                scored = (await released_champion(settings.bundles, QUALITY, clock=now_us)).scorer.settings
            return await simulate(replay, await _against(stores, workers, options), other, scored, now=now_us())


async def _against(stores: Stores, workers: Workers, options: argparse.Namespace) -> PolicyEvaluator:
    """The policy to compare with."""
    if options.against:
        return PolicyEvaluator(_read(options.against))
    policies = Policies(stores.policies, workers, metrics=Metrics(), clock=now_us)
    await policies.follow()
    return policies.active


def _read(file: Path) -> Policy:
    try:
        return read_policy(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ServingError(f"{file} is not UTF-8") from error
    except PolicyError as error:
        raise ServingError("\n".join(f"{file}:{one.line}: {one.message}" for one in error.problems)) from error


def _report(simulation: Simulation) -> str:
    at = to_datetime(simulation.as_of).isoformat(timespec="seconds")
    parts = [
        f"users: {simulation.n_users:,} as of {at}, {simulation.n_without_score:,} of them without a stored score; "
        f"another tier or stage: {simulation.n_users_changed:,}",
        markdown(simulation.after.rows(simulation.before)),
        markdown(simulation.after.action_rows(simulation.before)),
        f"notes: {simulation.n_notes:,}; another decision: {simulation.n_notes_changed:,}",
    ]
    return "\n\n".join([*parts, *([markdown(simulation.decision_rows())] if simulation.n_notes else [])])
