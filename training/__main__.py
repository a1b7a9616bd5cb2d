"""The command line of training: ``python -m training COMMAND``.

Exit status: 0 done; 1 what was asked can't be done (one line on stderr says why); 2 a gate failed and nothing moved.
"""

import argparse
import getpass
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from features.errors import DataError
from features.sources import Dataset
from models.bundle import Bundle, read_bundle
from models.errors import BundleError, ContractError, EncoderError, ExportError
from training.config import read_config
from training.errors import ConfigError, GateError, RegistryError, ReleaseError
from training.progress import Progress, shown_progress

if TYPE_CHECKING:
    from training.gates import Gate
    from training.promotion import Compare
    from training.recommend.config import RecommendConfig
    from training.runs import Run
    from training.tracking import Registry

TASKS = ("churn", "quality", "recommend")
OK, FAILED, GATE_FAILED, INTERRUPTED = 0, 1, 2, 130
_KNOWN = (
    BundleError,
    ConfigError,
    ContractError,
    DataError,
    EncoderError,
    ExportError,
    OSError,
    RegistryError,
    ReleaseError,
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with 1: status 2 is a failed gate's."""
        self.print_usage(sys.stderr)
        self.exit(FAILED, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # what is written here is for nobody else on the machine
    try:
        return _status(options.run, options)
    except KeyboardInterrupt:
        return INTERRUPTED


def _status(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """The exit status of a command; where it could not be done, stderr says why."""
    try:
        return run(options)
    except GateError as error:
        print(f"gate failed: {error}", file=sys.stderr)
        return GATE_FAILED
    except _KNOWN as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return FAILED


def check(options: argparse.Namespace) -> int:
    """Print what a dataset's tables hold, once they are known to keep the contract."""
    for summary in Dataset(options.data, now=_now()).summaries.values():
        print(f"{summary.file}: {summary.n_rows:,} rows")
        for event, n in summary.unknown_events.items():
            print(f"  event {event!r} is not in the vocabulary: {n:,} rows count as 'other'")
    return OK


def sample(options: argparse.Namespace) -> int:
    """Write a synthetic community."""
    from training.sample.generate import generate

    if (last := options.start + timedelta(days=options.days - 1)) >= datetime.now(UTC).date():
        raise ConfigError(f"the log would end on {last}, which is not over: choose an earlier --start or fewer --days")
    with shown_progress() as step:
        generate(
            options.out,
            n_users=options.users,
            n_days=options.days,
            seed=options.seed,
            start=options.start,
            progress=lambda done, total: step("making a synthetic community", done, total),
        )
    return OK


def churn(options: argparse.Namespace) -> int:
    """Train a churn model; register it if its gates hold."""
    from training.churn.config import ChurnConfig
    from training.churn.run import run_churn

    def run(bundles: Path, step: Progress) -> "Run":
        return run_churn(read_config(options.config, ChurnConfig), Dataset(options.data, now=_now()), bundles, step)

    return _train(options, "churn", figures="horizons", run=run)


def quality(options: argparse.Namespace) -> int:
    """Train a note-quality model; register it if its gates hold."""
    from training.quality.config import QualityConfig
    from training.quality.run import QualityData, run_quality

    def run(bundles: Path, step: Progress) -> "Run":
        config = read_config(options.config, QualityConfig)
        data = QualityData(*map(_datasets, (options.data, options.test, options.clean)))
        return run_quality(config, data, options.home, bundles, step)

    return _train(options, "quality", figures="labels", run=run)


def _datasets(folders: Sequence[Path]) -> list[Dataset]:
    now = _now()
    return [Dataset(folder, now=now) for folder in folders]


def recommend(options: argparse.Namespace) -> int:
    """Train a recommender; register it if its gates hold."""
    from training.recommend.run import run_recommend

    def run(bundles: Path, step: Progress) -> "Run":
        dataset = Dataset(options.data, now=_now())
        encoder = _encoder(options) if "notes" in dataset.summaries else None
        return run_recommend(_recommend_config(options), dataset, bundles, step, encoder=encoder)

    return _train(options, "recommend", figures="model", run=run)


def _encoder(options: argparse.Namespace) -> Bundle | None:
    """The quality bundle that embeds notes: the one named, or else the registry's champion, if it has one."""
    from training.release import fetch
    from training.tracking import CHAMPION

    if options.encoder:
        return read_bundle(options.encoder)
    registry = _registry(options)
    champion = registry.find("quality", CHAMPION)
    if champion is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        return fetch(registry, champion, Path(folder))


def _recommend_config(options: argparse.Namespace) -> "RecommendConfig":
    """The settings in the file, and the protocol of the command line."""
    from training.recommend.config import RecommendConfig
    from training.recommend.cuts import Protocol

    config = read_config(options.config, RecommendConfig)
    return config.model_copy(update={"protocol": Protocol(options.protocol)}) if options.protocol else config


def _train(options: argparse.Namespace, task: str, *, figures: str, run: Callable[[Path, Progress], "Run"]) -> int:
    """Do a run, register what it made, and leave its report whatever happens."""
    from training.runs import register, unfinished, write_report
    from training.tracking import model_name

    report = options.report or options.home / "reports" / f"{task}.json"
    write_report(unfinished(task, figures, "the run did not end"), report)
    with shown_progress() as step, tempfile.TemporaryDirectory() as folder:
        try:
            step("checking the data", 0, 1)
            done = run(Path(folder), step)
        except _KNOWN as error:
            write_report(unfinished(task, figures, str(error)), report)
            raise
        write_report(done.report, report)
        print(f"report: {report}")
        step("logging to MLflow", 1, 1)
        version = register(done, _registry(options), Path(folder))
    print(f"registered {model_name(version.task)} version {version.number} as challenger")
    return OK


def promote(options: argparse.Namespace) -> int:
    """Make the challenger champion if it holds its own."""
    from training import promotion

    reason = promotion.Reason(options.by, options.why)
    comparisons = {"churn": _compare_churn, "quality": _compare_quality, "recommend": _compare_recommend}
    compare = comparisons[options.model](options)
    version, gates = promotion.promote(_registry(options), options.model, compare, reason)
    for gate in gates:
        print(f"passed: {gate}")
    print(f"{version.task} version {version.number} is champion")
    return OK


def _one_dataset(folders: Sequence[Path]) -> Dataset:
    if len(folders) > 1:
        raise ConfigError("users are compared on one dataset: give --data once")
    return Dataset(folders[0], now=_now())


def _compare_churn(options: argparse.Namespace) -> "Compare":
    from models.churn.scorer import ChurnScorer
    from training.churn.comparison import compare
    from training.churn.config import ChurnConfig

    config, dataset = read_config(options.config, ChurnConfig), _one_dataset(options.data)
    return lambda ours, theirs: compare(ChurnScorer(ours), ChurnScorer(theirs) if theirs else None, dataset, config)


def _compare_quality(options: argparse.Namespace) -> "Compare":
    from models.quality.scorer import QualityScorer
    from training.quality.comparison import compare
    from training.quality.config import QualityConfig

    config, datasets = read_config(options.config, QualityConfig), _datasets(options.data)
    return lambda ours, theirs: compare(
        QualityScorer(ours), QualityScorer(theirs) if theirs else None, datasets, config
    )


def _compare_recommend(options: argparse.Namespace) -> "Compare":
    from models.recommend.scorer import RecommendScorer
    from training.recommend.comparison import Recommender, compare
    from training.recommend.config import RecommendConfig
    from training.recommend.content import ENCODER, read_catalogue
    from training.recommend.off_policy import compare_on_log
    from training.recommend.sequences import read_sequences
    from training.release import fetch_required

    config, dataset = read_config(options.config, RecommendConfig), _one_dataset(options.data)
    sequences = read_sequences(dataset, config.events)

    def recommender(bundle: Bundle) -> Recommender:
        scorer = RecommendScorer(bundle)
        with tempfile.TemporaryDirectory() as folder:
            encoder = fetch_required(_registry(options), bundle, Path(folder)).get(ENCODER)
        return Recommender(scorer, read_catalogue(dataset, scorer.note_ids, encoder))

    def compared(ours: Bundle, theirs: Bundle | None) -> "list[Gate]":
        if theirs is None:
            return []
        challenger, champion = recommender(ours), recommender(theirs)
        gates = compare(challenger, champion, sequences, config)
        return [*gates, *compare_on_log(challenger, champion, dataset, config)]

    return compared


def rollback(options: argparse.Namespace) -> int:
    """Make the champion before the present one champion again."""
    from training import promotion

    reason = promotion.Reason(options.by, options.why)
    version = promotion.rollback(_registry(options), options.model, reason)
    print(f"{version.task} version {version.number} is champion again")
    return OK


def release(options: argparse.Namespace) -> int:
    """Copy what the aliases name to the folder that serving watches, once or for ever."""
    while True:
        status = _status(_release, options)
        if not options.watch:
            return status
        time.sleep(options.every_s)  # a bundle may be mended by then, or the registry be back


def _release(options: argparse.Namespace) -> int:
    from training.release import Release, release

    status = OK
    for done in release(_registry(options), options.bundles or options.home / "bundles"):
        if isinstance(done, Release):
            print(f"released {done.task} {done.role}: version {done.version.number}", flush=True)
        else:
            print(f"error: {done.reason} ({done.task} {done.role} stays as it was)", file=sys.stderr, flush=True)
            status = FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m training", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--home", type=Path, default=Path("var"), help="where runs, reports and bundles are kept (default: var)"
    )
    parser.add_argument(
        "--registry",
        default=os.environ.get("MLFLOW_TRACKING_URI"),
        help="MLflow's address (default: MLFLOW_TRACKING_URI, else an embedded store below --home)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_data_commands(commands)
    _add_model_commands(commands)
    return parser


def _add_data_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    one = _command(commands, check)
    one.add_argument("--data", type=Path, required=True, help="a folder in the data contract")
    one = _command(commands, sample)
    one.add_argument("--users", type=_at_least(1), default=5000)
    one.add_argument("--days", type=_at_least(1), default=120)
    one.add_argument("--seed", type=_at_least(0), default=7)
    one.add_argument(
        "--start", type=date.fromisoformat, default=date(2026, 1, 1), help="first day (default: 2026-01-01)"
    )
    one.add_argument("--out", type=Path, required=True, help="the folder to write")


def _at_least(low: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if (number := int(text)) < low:
            raise argparse.ArgumentTypeError(f"{number} is below {low}")
        return number

    return whole_number


def _add_model_commands(commands: "argparse._SubParsersAction[_Parser]") -> None:
    one = _command(commands, churn)
    _add_data(one)
    one.add_argument("--report", type=Path, help="where the figures go (default: reports/churn.json below --home)")
    one = _command(commands, quality)
    one.add_argument("--data", type=Path, action="append", required=True, help="labelled notes; may be given again")
    one.add_argument("--test", type=Path, action="append", default=[], help="labelled notes to be judged on alone")
    one.add_argument("--clean", type=Path, action="append", default=[], help="notes that nothing is wrong with")
    one.add_argument("--config", type=Path, help="a TOML file (docs/quality.md)")
    one.add_argument("--report", type=Path, help="where the figures go (default: reports/quality.json below --home)")
    one = _command(commands, recommend)
    _add_data(one)
    one.add_argument("--report", type=Path, help="where the figures go (default: reports/recommend.json below --home)")
    one.add_argument(
        "--encoder",
        type=Path,
        help="the quality bundle that reads the notes (default: the registry's champion, if any)",
    )
    one.add_argument("--protocol", choices=["leave-one-out", "temporal"], help="how the log is cut (default: as set)")
    one = _command(commands, promote)
    one.add_argument("--data", type=Path, action="append", required=True, help="a folder in the data contract")
    one.add_argument("--config", type=Path, help="a TOML file (docs/training.md, docs/quality.md)")
    _add_move(one)
    _add_move(_command(commands, rollback))
    one = _command(commands, release)
    one.add_argument("--bundles", type=Path, help="the folder that serving watches (default: bundles below --home)")
    one.add_argument("--watch", action="store_true", help="keep running")
    one.add_argument("--every-s", type=float, default=5.0, help="seconds between looks while watching")


def _command(
    commands: "argparse._SubParsersAction[_Parser]", run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    added = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
    added.set_defaults(run=run)
    return added


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, help="a folder in the data contract")
    command.add_argument("--config", type=Path, help="a TOML file (docs/training.md)")


def _add_move(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", choices=TASKS)
    command.add_argument("--by", default=_user(), help="who decides (default: the user of this machine)")
    command.add_argument("--why", default="", help="kept with the version")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return str(os.getuid())


def _registry(options: argparse.Namespace) -> "Registry":
    from training.tracking import Registry

    return Registry(options.registry, options.home / "mlflow")


def _now() -> int:
    return round(time.time() * 1_000_000)


if __name__ == "__main__":
    sys.exit(main())
