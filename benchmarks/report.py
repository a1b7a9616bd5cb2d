"""The figures as ``docs/benchmarks.md`` and its plots."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.hostile import RATE as HOSTILE_RATE
from benchmarks.peers import PACKAGES

DOCS: Final = Path("docs")
_VERSIONS: Final = ("fastapi", "uvicorn", "uvloop", "pydantic", "onnxruntime", "numpy", "lightgbm", "duckdb")
_BLUE, _GREY, _RED = "#2b6cb0", "#a0aec0", "#c53030"

Figures = Mapping[str, Any]


def write(results: Mapping[str, Figures]) -> None:
    """Write the page and the plots of the parts that were measured."""
    sections = [_SECTIONS[name](figures) for name, figures in results.items() if name in _SECTIONS]
    rows = [row for name, figures in results.items() for row in _ROWS[name](figures)]
    table = "\n".join(["| what | measured | aim | |", "| --- | --- | --- | --- |", *rows])
    page = "\n\n".join([_HEAD, table, *sections, _conditions()])
    (DOCS / "benchmarks.md").write_text(page + "\n", encoding="utf-8")


_HEAD: Final = """# Benchmarks

`make bench` measures all of this again and writes this page; `make bench PARTS=load` measures only a part, and with
`BENCH_JOURNAL_URL` and `BENCH_STATE_URL` set, events go to that PostgreSQL and Redis too. The server runs on one core,
the load comes from the other, over loopback. Keys, validation, metrics and logs are on, as in production; the churn
model is trained on the sample community and the store holds 1,000 of its users. Every figure is the median of runs that
take turns; ratios come first, because they carry over to other machines.

Figures of the models, of [recommendation](recommend.md#figures), [reviews](reviews.md), [KPIs](kpis.md) and the
[console](console.md#how-it-is-made) stand on their own pages, each with the command that measures it."""


def _row(what: str, measured: str, aim: str, reached: bool) -> str:
    return f"| {what} | {measured} | {aim} | {'reached' if reached else '**missed**'} |"


def _one_user_rows(figures: Figures) -> list[str]:
    ratio = _ratio(figures["ours"], figures["control"], "rate")
    cpu = _ratio(figures["control"], figures["ours"], "cpu_us")
    what = "`users:score` of one user, against a FastAPI app that returns a constant"
    return [_row(what, f"{ratio:.2f} of its rate ({cpu:.2f} by CPU time)", "0.5", ratio >= 0.5)]


def _many_users_rows(figures: Figures) -> list[str]:
    us = median(figures["us_per_user"])
    return [_row("`users:score` of 1,000 users in one request", f"{us:.0f} µs a user", "80 µs", us <= 80)]


def _load_rows(figures: Figures) -> list[str]:
    half, above = _at(figures, "0.5"), _at(figures, "1.5")
    tail, kept = half["p99_ms"] / half["p50_ms"], above["good_rate"] / figures["peak"]
    aims = "503 with `Retry-After`, no collapse"
    refused = f"{kept:.0%} of the peak rate answered, {above['refused']:.0%} refused, p99 {above['p99_ms']:.0f} ms"
    sound = above["failed"] == 0 and above["retry_after"] and kept >= 0.5
    return [
        _row("p99 at half of the peak rate", f"{tail:.1f} × the median ({half['p99_ms']:.1f} ms)", "10 ×", tail <= 10),
        _row("at 1.5 × the peak rate", refused, aims, sound),
    ]


def _peers_rows(figures: Figures) -> list[str]:
    aims = {"MLServer": 2.5, "mlflow models serve": 2.0}
    ours = figures["rates"]["Mingjian"]
    ratios = {name: _ratio(ours, figures["rates"][name], "rate") for name in aims}
    return [
        _row(f"one row of features, against {name}", f"{ratio:.1f} × its rate", f"{aims[name]} ×", ratio >= aims[name])
        for name, ratio in ratios.items()
    ]


def _hostile_rows(figures: Figures) -> list[str]:
    worst, one = max(figures.items(), key=lambda item: item[1]["ratio"])
    what = f"p99 of a score under attack, the worst of {len(figures)} ({worst})"
    return [_row(what, f"{one['ratio']:.1f} × the quiet one", "2 ×", one["ratio"] <= 2)]


def _ingest_rows(figures: Figures) -> list[str]:
    return [
        _row(
            f"events/s made durable on {stores}, in batches of 500",
            f"{median(rates):,.0f}",
            "5,000",
            median(rates) >= 5000,
        )
        for stores, rates in figures.items()
    ]


def _offline_rows(figures: Figures) -> list[str]:
    rate = median(figures["rates"])
    return [_row("events/s from Parquet to features, two cores", f"{rate / 1e6:.2f} M", "0.5 M", rate >= 5e5)]


def _batch_rows(figures: Figures) -> list[str]:
    ratio = _share(figures, "plain", "scored")
    what = "`score-all`: scoring the users it has read, against a plain loop over features and graph"
    return [_row(what, f"{ratio:.2f} of its rate", "0.8", ratio >= 0.8)]


def _policy_rows(figures: Figures) -> list[str]:
    together = f"one user ({figures['n_together']} requests evaluated together)"
    rows = []
    for users, (request_us, turns) in ((together, figures["one"]), ("1,000 users", figures["many"])):
        added = median(a - b for a, b in zip(turns["with_policy"], turns["without"], strict=True))
        share = added / (median(request_us) - added)
        what = f"the policy, added to `users:score` of {users}"
        rows.append(_row(what, f"{share:.0%} of its CPU time ({added:.1f} µs a user)", "15%", share <= 0.15))
    return rows


def _start_rows(figures: Figures) -> list[str]:
    ready, rss = median(figures["ready_s"]), median(figures["busy_mb"])
    return [
        _row("from start to ready, with the churn model", f"{ready:.1f} s", "3 s", ready < 3),
        _row("resident memory after some work", f"{rss:.0f} MB", "250 MB", rss < 250),
    ]


_ROWS: Final = {
    "one_user": _one_user_rows,
    "many_users": _many_users_rows,
    "load": _load_rows,
    "hostile": _hostile_rows,
    "peers": _peers_rows,
    "ingest": _ingest_rows,
    "offline": _offline_rows,
    "batch": _batch_rows,
    "policy": _policy_rows,
    "start": _start_rows,
}


def _rates_section(title: str, plot: str, runs: Mapping[str, Sequence[Figures]], text: str) -> str:
    _draw_rates(plot, runs)
    lines = [
        f"| {name} | {_of(one, 'rate'):,.0f} | {_of(one, 'cpu_us'):.0f} "
        f"| {_of(one, 'p50_ms'):.2f} | {_of(one, 'p99_ms'):.2f} |"
        for name, one in runs.items()
    ]
    table = ["| | requests/s | CPU µs each | p50 ms | p99 ms |", "| --- | --- | --- | --- | --- |", *lines]
    return "\n".join([f"## {title}", "", text, "", *table, "", f"![{title}]({plot})"])


def _one_user_section(figures: Figures) -> str:
    text = (
        "Eight connections, each asking again as soon as it is answered. The control has the same request and\n"
        "response types and neither keys, logs, metrics, store nor model: what is left is the framework's own cost."
    )
    runs = {"users:score": figures["ours"], "control": figures["control"]}
    return _rates_section("One user", "bench-one-user.png", runs, text)


def _peers_section(figures: Figures) -> str:
    paths = figures["paths"]
    text = (
        "The same LightGBM model of one horizon, one row a request, eight connections. MLServer runs without worker\n"
        "processes and `mlflow models serve` with one worker; neither checks keys. "
        + ", ".join(f"{name}: `{path}`" for name, path in paths.items())
        + "."
    )
    if not paths["Mingjian"].startswith("/v2"):
        text += "\nThis version has no `/v2`: our side does more, it reads the user's state and computes the features."
    return _rates_section("The same model behind its peers", "bench-peers.png", figures["rates"], text)


def _load_section(figures: Figures) -> str:
    _draw_load(figures)
    lines = []
    for share in figures["loads"]:
        one = _at(figures, share)
        lines.append(
            f"| {float(share):.2f} | {one['good_rate']:,.0f} | {one['refused']:.1%} | {one['p50_ms']:.1f} "
            f"| {one['p95_ms']:.1f} | {one['p99_ms']:.1f} |"
        )
    text = f"""## Under load

Requests for one user come at a constant rate, whatever became of those before, on up to 512 connections; a latency
counts from when its request was due. The peak, {figures["peak"]:,.0f} answers/s, is what 32 connections get in a closed
loop; after all this load it was {figures["after"]:,.0f}. No more than 128 are under way at once.

| rate / peak | answers/s | refused | p50 ms | p95 ms | p99 ms |
| --- | --- | --- | --- | --- | --- |"""
    return "\n".join([text, *lines, "", "![Latency and answers by offered rate](bench-load.png)"])


def _hostile_section(figures: Figures) -> str:
    rows = [
        f"| {attack} | {one['attacked_ms']:.1f} | {one['quiet_ms']:.1f} | {one['ratio']:.2f} | {one['answered']:.1%} |"
        for attack, one in figures.items()
    ]
    head = "| while there are | p99 ms | quiet p99 ms | ratio | answered 200 |\n| --- | --- | --- | --- | --- |"
    text = f"""## While others misbehave

{HOSTILE_RATE:.0f} scores of one user a second, with a key, on connections of their own. Quiet rounds and rounds under
attack take turns; the ratio is the median of the rounds'."""
    return "\n".join([f"{text}\n", head, *rows])


def _batch_section(figures: Figures) -> str:
    us = {name: median(turns) for name, turns in figures["us"].items()}
    files = us["read"] + us["files"]
    lines = [
        f"| {what} | {cost:.1f} | {1e6 / cost:,.0f} |"
        for what, cost in {
            "the graph alone (`session.run`)": us["graph"],
            "plain loop: features and graph": us["plain"],
            "the same states through `score-all`, as rows": us["scored"],
            "`score-all` to files: with finding the users and reading their states": files,
            "`score-all` to files and lists": files + us["lists"],
        }.items()
    ]
    text = f"""## Everyone at once

CPU time of one core for {figures["n_users"]:,} users in blocks of 1,000, states and lists in SQLite. Most of what
`score-all` takes goes into the lists: three rows a user, each with its place in the order of risk.

| | µs a user | users/s |
| --- | --- | --- |"""
    return "\n".join([text, *lines])


_SECTIONS: Final = {
    "one_user": _one_user_section,
    "load": _load_section,
    "hostile": _hostile_section,
    "batch": _batch_section,
    "peers": _peers_section,
}


def _conditions() -> str:
    cpu = next(line.split(":")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    ours = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _VERSIONS)
    peers = ", ".join(one.replace("==", " ") for packages in PACKAGES.values() for one in packages if "==" in one)
    return f"""## Conditions

{cpu.strip()}, {os.cpu_count()} virtual cores. Compare ratios, and measure while nothing else runs: other
work on the cores costs rates and latencies up to two thirds, and more past the peak.
{platform.system()} {platform.release()}, Python {platform.python_version()}, {ours}. Peers: {peers}."""


def _of(runs: Sequence[Figures], name: str) -> float:
    return float(median(run[name] for run in runs))


def _ratio(above: Sequence[Figures], below: Sequence[Figures], name: str) -> float:
    """The median over rounds of the ratio within a round."""
    return float(median(a[name] / b[name] for a, b in zip(above, below, strict=True)))


def _share(figures: Figures, above: str, below: str) -> float:
    """The median over rounds of the ratio within a round."""
    return float(median(a / b for a, b in zip(figures["us"][above], figures["us"][below], strict=True)))


def _at(figures: Figures, share: str) -> Figures:
    runs = figures["loads"][share]
    return {name: median(run[name] for run in runs) for name in runs[0]}


def _draw_rates(plot: str, runs: Mapping[str, Sequence[Figures]]) -> None:
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.55 * len(runs)), layout="constrained")
    names = list(runs)[::-1]
    rates = [_of(runs[name], "rate") for name in names]
    colours = [_BLUE if name in {"users:score", "Mingjian"} else _GREY for name in names]
    axes.bar_label(axes.barh(names, rates, color=colours), fmt="{:,.0f}", padding=4)
    axes.set_xlim(0, max(rates) * 1.15)
    axes.set_xlabel("requests/s on one core (median)")
    _save(figure, axes, plot)


def _draw_load(figures: Figures) -> None:
    shares = [float(share) for share in figures["loads"]]
    points = [_at(figures, share) for share in figures["loads"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, colour in (("p50_ms", _BLUE), ("p95_ms", _GREY), ("p99_ms", _RED)):
        left.plot(shares, [one[name] for one in points], "o-", color=colour, label=name.removesuffix("_ms"))
    left.set(yscale="log", xlabel="offered rate / peak", ylabel="latency of what was answered, ms")
    left.legend(frameon=False)
    peak = figures["peak"]
    right.plot(shares, shares, "--", color=_GREY, label="offered")
    right.plot(shares, [one["good_rate"] / peak for one in points], "o-", color=_BLUE, label="answered")
    right.set(xlabel="offered rate / peak", ylabel="rate / peak", ylim=(0, None))
    right.legend(frameon=False)
    left.spines[["top", "right"]].set_visible(False)
    _save(figure, right, "bench-load.png")


def _save(figure: Any, axes: Any, plot: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(DOCS / plot, dpi=120)
    plt.close(figure)
