"""A small community's labelled notes, each judged for one of two labels, and a model of them without a tower."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.sources import Dataset
from training.quality.config import QualityConfig
from training.quality.corpus import Corpus, read_corpus
from training.quality.recipe import QualityTraining, train_quality

NOW = 1_700_000_000_000_000
PLACES = ["外滩", "豫园", "西湖", "长城", "故宫", "泰山", "洱海", "鼓浪屿", "宽窄巷", "布达拉宫"]
DISHES = ["火锅", "小笼包", "烤鸭", "凉皮", "米线", "煎饼", "豆花", "酸辣粉", "生煎", "糖水"]
ADS = ["加微信领优惠", "私信我有折扣", "扫码进群抢红包", "低价代购找我", "添加好友送资料"]
RANTS = ["你们这些人真蠢", "滚出去别丢人", "脑子有病吧", "垃圾店家恶心", "废物还敢发帖"]

Write = Callable[..., Path]


def sentence(rng: np.random.Generator, place: int) -> str:
    parts = rng.choice(PLACES), rng.choice(DISHES), place
    return "第{2}次去{0}，顺路吃了{1}，排队不久，味道不错，下回再来。".format(*parts)


def _write_table(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def write_table() -> Callable[[Path, str, Sequence[dict[str, Any]]], None]:
    """Writes rows as a CSV table of a dataset."""
    return _write_table


@pytest.fixture(scope="session")
def write_notes() -> Write:
    """Writes ``n`` notes that were judged for one label, half of which have one of its phrases in a plain body."""

    def write(folder: Path, label: str, phrases: Sequence[str], n: int = 300, splits: bool = True) -> Path:
        rng = np.random.default_rng(len(label) + n)
        notes, labels = [], []
        for place in range(n):
            has = bool(rng.random() < 0.5)
            body = sentence(rng, place) + (rng.choice(phrases) if has else "") + sentence(rng, place + n)
            notes.append({"note_id": f"n{place}", "body": body, "category": "food" if place % 2 else "travel"})
            split = {"split": "dev" if place % 4 == 0 else "train"} if splits else {}
            labels.append({"note_id": f"n{place}", "label": label, "value": int(has), **split})
        _write_table(folder, "notes", notes)
        _write_table(folder, "note_labels", labels)
        return folder

    return write


@pytest.fixture(scope="session")
def open_notes() -> Callable[..., list[Dataset]]:
    """Folders as datasets."""
    return lambda *folders: [Dataset(folder, now=NOW) for folder in folders]


@pytest.fixture(scope="session")
def folders(write_notes: Write, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two datasets: one judged for spam, one for abuse."""
    home = tmp_path_factory.mktemp("notes")
    return [write_notes(home / "ads", "spam", ADS), write_notes(home / "rants", "abuse", RANTS)]


@pytest.fixture(scope="session")
def corpus(folders: list[Path], open_notes: Callable[..., list[Dataset]]) -> Corpus:
    """Both."""
    return read_corpus(open_notes(*folders))


@pytest.fixture(scope="session")
def config() -> QualityConfig:
    """Without a tower; spam is a harm, abuse was not declared."""
    return QualityConfig.model_validate({"encoder": "none", "labels": {"spam": {"kind": "harm"}}})


@pytest.fixture(scope="session")
def training(config: QualityConfig, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> QualityTraining:
    """A model of them."""
    return train_quality(config, corpus, tmp_path_factory.mktemp("home") / "checkpoint.pt", silent)


def silent(what: str, done: int, total: int) -> None:
    """Nobody is told."""
