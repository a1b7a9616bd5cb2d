"""Fine-tuning: what is unknown teaches nothing, the same seed gives the same tower, and a killed run is taken up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from features.text.lexicons import Lexicons
from models.quality.encoders.encoder import Encoder
from models.quality.encoders.hugging_face import load_hugging_face
from models.quality.network import Tower
from models.quality.reading import NoteReader, NoteText
from training.quality.config import Tower as TowerSettings
from training.quality.tower import Learning, TowerPlan, Windows, deep_logits, fit_tower, padded

GOOD, BAD = "甲乙丙丁", "戊己庚辛"
SETTINGS = TowerSettings(window_tokens=16, epochs=3, batch_size=16, learning_rate=5e-3, device="cpu")

Fit = Callable[..., Tower]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Encoder]:
    """A BERT of one small layer with random weights, which knows eight characters; always the same."""
    folder = tmp_path_factory.mktemp("bert")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD]
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(pieces), max_position_embeddings=32, **sizes)).save_pretrained(folder)
    BertTokenizerFast(vocab={piece: place for place, piece in enumerate(pieces)}).save_pretrained(folder)
    return lambda: load_hugging_face(str(folder))


@pytest.fixture(scope="module")
def learning(load: Callable[[], Encoder]) -> Learning:
    """Notes of one kind of character or the other; the second column was judged for every fourth note."""
    rng = np.random.default_rng(2)
    y = np.arange(160) % 2
    bodies = ["".join(rng.permutation(list(BAD if one else GOOD))) for one in y]
    reader = NoteReader(Lexicons.load(), load().tokenizer(), window_tokens=SETTINGS.window_tokens)
    windows = Windows.of(reader.read([NoteText("", body) for body in bodies]).arrays)
    targets = np.stack([y, np.where(np.arange(160) % 4 < 2, 1 - y, np.nan)], axis=1).astype(np.float64)
    return Learning(windows, targets, np.ones((160, 2)))


@pytest.fixture(scope="module")
def fit(load: Callable[[], Encoder], learning: Learning) -> Fit:
    """Fine-tunes on them, and tunes on them too."""

    def run(checkpoint: Path, epochs: int = 3, progress: Callable[..., None] = lambda *_: None) -> Tower:
        settings = SETTINGS.model_copy(update={"epochs": epochs})
        return fit_tower(load(), learning, learning, TowerPlan(settings, 7, checkpoint), progress)

    return run


@pytest.fixture(scope="module")
def tower(fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Tower:
    return fit(tmp_path_factory.mktemp("fit") / "checkpoint.pt")


def test_both_columns_are_learnt_though_one_is_mostly_unknown(tower: Tower, learning: Learning) -> None:
    logits = deep_logits(tower, learning.windows)
    y = learning.targets[:, 0]
    assert (((logits[:, 0] > 0) == (y == 1)).mean(), ((logits[:, 1] > 0) == (y == 0)).mean()) == (1.0, 1.0)


def test_the_same_seed_gives_the_same_tower(fit: Fit, tower: Tower, tmp_path: Path) -> None:
    again = fit(tmp_path / "checkpoint.pt")
    for ours, theirs in zip(tower.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_run_that_was_killed_is_taken_up_and_ends_as_if_it_had_not_been(
    fit: Fit, tower: Tower, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"

    def die_in_the_third_epoch(what: str, done: int, total: int) -> None:
        if done == total * 2 // 3 + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint, progress=die_in_the_third_epoch)
    assert checkpoint.exists()
    steps: list[int] = []
    resumed = fit(checkpoint, progress=lambda what, done, total: steps.append(done))
    assert steps[0] == 20  # ten steps an epoch: two were done
    for ours, theirs in zip(tower.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    fit(checkpoint, progress=lambda what, done, total: steps.append(-1))
    assert -1 not in steps  # all of it was learnt before


def test_training_ends_early_where_epochs_bring_nothing(fit: Fit, tmp_path: Path) -> None:
    steps: list[int] = []
    fit(tmp_path / "checkpoint.pt", epochs=20, progress=lambda what, done, total: steps.append(done))
    assert len(steps) < 100  # of two hundred


def test_a_note_has_the_largest_logit_of_its_windows(tower: Tower, learning: Learning) -> None:
    ids = learning.windows.ids[:3]
    one_by_one = deep_logits(tower, Windows(ids, np.arange(3)))
    together = deep_logits(tower, Windows(ids, np.array([0, 0, 1])))
    assert together == pytest.approx(np.stack([one_by_one[:2].max(axis=0), one_by_one[2]]), abs=1e-6)


def test_windows_of_other_lengths_do_not_change_a_row(tower: Tower, learning: Learning) -> None:
    long, short = learning.windows.ids[0], learning.windows.ids[1][:3]
    with torch.inference_mode():
        alone, beside = tower(*padded([short])), tower(*padded([short, long]))
    assert beside[0].numpy() == pytest.approx(alone[0].numpy(), abs=1e-5)


def test_the_plain_arrays_of_the_heads_repeat_the_tower(tower: Tower, learning: Learning) -> None:
    part = tower.deep_part()
    ids, mask = padded(learning.windows.ids[:4])
    with torch.inference_mode():
        pooled, expected = tower.encoder(ids, mask).numpy(), tower(ids, mask).numpy()
    hidden = np.maximum(np.einsum("nd,dkh->nkh", pooled, part.hidden) + part.hidden_bias, 0)
    assert (hidden * part.output).sum(axis=2) + part.output_bias == pytest.approx(expected, abs=1e-5)
