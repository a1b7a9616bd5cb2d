"""Fine-tunes the encoder, with a head for each thing judged; what a note was not judged for adds nothing to its loss.

AdamW (Loshchilov and Hutter 2019), a short warm-up, then linear decay to zero: the decay is where the gain is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.quality.encoders.encoder import Encoder
from models.quality.network import Tower
from models.quality.reading import IDS, MASK, WINDOW_NOTE
from training.metrics import auc
from training.progress import Progress
from training.quality.config import Tower as TowerSettings

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[Any]]

HEAD_RATE: Final = 4.0
"""How many times faster the heads learn."""
WEIGHT_DECAY: Final = 0.02
WARM_UP_STEPS: Final = 50
CLIP: Final = 1.0
SMOOTHING: Final = 0.05
"""A target of 1 is learnt as 0.975, one of 0 as 0.025 (Szegedy et al. 2016)."""
RARE_POWER: Final = 0.5
"""A label's notes count by their number to this power: 0 would have every label count the same, 1 every note."""
PATIENCE: Final = 2
_ALIKE_BATCHES: Final = 40
_READ_AT_ONCE: Final = 128


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Notes as a tower reads them: the ids of each one's windows; ``note`` gives each window's note."""

    ids: Sequence[npt.NDArray[np.int64]]
    note: npt.NDArray[np.int64]

    @classmethod
    def of(cls, arrays: Arrays) -> "Windows":
        """What ``NoteReader`` read."""
        lengths = arrays[MASK].sum(axis=1)
        return cls([row[:n] for row, n in zip(arrays[IDS], lengths, strict=True)], arrays[WINDOW_NOTE])

    def first(self) -> list[npt.NDArray[np.int64]]:
        """The first window of each note."""
        return [self.ids[place] for place in np.flatnonzero(np.diff(self.note, prepend=-1)).tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """What a tower learns from: windows of notes, with targets and weights (n_notes, n_columns), NaN where unknown."""

    windows: Windows
    targets: Floats
    weights: Floats


@dataclass(frozen=True, slots=True)
class TowerPlan:
    """How a tower is trained, and the file that an interrupted training is taken up from."""

    settings: TowerSettings
    seed: int
    checkpoint: Path


def fit_tower(encoder: Encoder, learn: Learning, tune: Learning, plan: TowerPlan, progress: Progress) -> Tower:
    """The tower, fine-tuned on the first window of each note.

    After each epoch the notes to tune on are asked: the best epoch's weights are kept, and training ends early where
    ``PATIENCE`` epochs brought nothing. The checkpoint is written then too, and taken up by the same training.
    """
    torch.manual_seed(plan.seed)
    tower = Tower(encoder, learn.targets.shape[1]).to(_device(plan.settings.device))
    batches = _Batches(learn.windows.first(), plan.settings, plan.seed)
    state = _State(tower, _optimiser(tower, plan.settings), batches)
    state.take_up(plan.checkpoint)
    while state.n_epochs < plan.settings.epochs and state.n_in_vain < PATIENCE:
        _read_once(state, learn, progress)
        state.close_epoch(_mean_auc(tower, tune))
        state.write(plan.checkpoint)
    state.restore_best()
    return tower.eval().to("cpu")


class _Batches:
    """Which notes are read when: each epoch in an order of its own, notes of like length in a batch."""

    def __init__(self, ids: Sequence[Ids], settings: TowerSettings, seed: int) -> None:
        self.ids = ids
        self._lengths = np.array([len(one) for one in ids])
        self._seed = seed
        self._batch_size = settings.batch_size
        self._n_rows = min(len(ids), -(-settings.max_rows_read // settings.epochs))
        self.n_steps = settings.epochs * -(-self._n_rows // self._batch_size)

    def epoch(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """The batches of an epoch, as rows."""
        rng = np.random.default_rng([self._seed, epoch])
        rows = rng.permutation(len(self.ids))[: self._n_rows]
        stretch = _ALIKE_BATCHES * self._batch_size
        stretches = [rows[start : start + stretch] for start in range(0, len(rows), stretch)]
        ordered = [one[np.argsort(self._lengths[one], kind="stable")] for one in stretches]
        batches = [
            one[start : start + self._batch_size] for one in ordered for start in range(0, len(one), self._batch_size)
        ]
        return [batches[place] for place in rng.permutation(len(batches))]

    def rate(self, step: int) -> float:
        """The share of the learning rate at a step."""
        return min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.0, 1 - step / self.n_steps)


class _State:
    """How far a training has come."""

    def __init__(self, tower: Tower, optimiser: torch.optim.Optimizer, batches: _Batches) -> None:
        self.tower, self.optimiser, self.batches = tower, optimiser, batches
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, batches.rate)
        self.n_epochs, self.n_in_vain, self.best_score = 0, 0, -np.inf
        self.best = _weights(tower)

    def close_epoch(self, score: float) -> None:
        self.n_epochs += 1
        self.n_in_vain = 0 if score > self.best_score else self.n_in_vain + 1
        if score > self.best_score:
            self.best_score, self.best = score, _weights(self.tower)

    def restore_best(self) -> None:
        self.tower.load_state_dict(self.best, strict=False)

    def write(self, checkpoint: Path) -> None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        staged = checkpoint.with_suffix(".part")
        torch.save(
            {
                "weights": _weights(self.tower),
                "best": self.best,
                "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(),
                "random": torch.get_rng_state(),
                "counts": [self.n_epochs, self.n_in_vain, self.best_score],
            },
            staged,
        )
        staged.replace(checkpoint)

    def take_up(self, checkpoint: Path) -> None:
        """Go on where the checkpoint ends, if there is one."""
        if not checkpoint.exists():
            return
        saved = torch.load(checkpoint, weights_only=True)
        self.tower.load_state_dict(saved["weights"], strict=False)
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        torch.set_rng_state(saved["random"])
        self.best = saved["best"]
        self.n_epochs, self.n_in_vain, self.best_score = saved["counts"]


def _read_once(state: _State, learn: Learning, progress: Progress) -> None:
    """One epoch."""
    tower, batches = state.tower, state.batches
    device = next(tower.parameters()).device
    target, weight = _weighed(learn)
    tower.train()
    for rows in batches.epoch(state.n_epochs):
        progress("fine-tuning the encoder", state.schedule.last_epoch, batches.n_steps)
        y, w = (torch.from_numpy(one[rows]).to(device) for one in (target, weight))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = tower(*padded([batches.ids[row] for row in rows], device))
            loss = (binary_cross_entropy_with_logits(logits, y, reduction="none") * w).sum() / len(rows)
        state.optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(tower.parameters(), CLIP)
        state.optimiser.step()
        state.schedule.step()


def deep_logits(tower: Tower, windows: Windows) -> Floats:
    """The largest logit of each note's windows, (n_notes, n_columns), in float64."""
    logits = _in_batches(tower, windows.ids)
    notes = np.flatnonzero(np.diff(windows.note, prepend=-1))
    return np.maximum.reduceat(logits, notes, axis=0).astype(np.float64)


def pooled(tower: Tower, ids: Sequence[Ids]) -> npt.NDArray[np.float32]:
    """What the encoder says of windows, (n, dim)."""
    return _in_batches(tower.encoder, ids)


def padded(ids: Sequence[Ids], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Ids and mask of windows as one batch."""
    lengths = torch.tensor([len(one) for one in ids])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).to(torch.int64)
    batch = torch.zeros_like(mask)
    batch[mask.bool()] = torch.from_numpy(np.concatenate(ids))
    return batch.to(device), mask.to(device)


@torch.inference_mode()
def _in_batches(module: torch.nn.Module, ids: Sequence[Ids]) -> npt.NDArray[np.float32]:
    """A module's rows for windows, in their order; windows of like length share a batch."""
    module.eval()
    device = next(module.parameters()).device
    order = np.argsort([len(one) for one in ids], kind="stable")
    parts = [order[start : start + _READ_AT_ONCE] for start in range(0, len(order), _READ_AT_ONCE)]
    rows = [module(*padded([ids[place] for place in part], device)).cpu().numpy() for part in parts]
    return np.concatenate(rows)[np.argsort(order)]


def _mean_auc(tower: Tower, tune: Learning) -> float:
    """AUC on the notes to tune on, the mean of the columns."""
    firsts = tune.windows.first()
    logits = _in_batches(tower, firsts).astype(np.float64)
    known = [np.isfinite(column) for column in tune.targets.T]
    areas = [
        auc((y[k] >= 0.5).astype(np.float64), z[k])[0]
        for y, z, k in zip(tune.targets.T, logits.T, known, strict=True)
        if k.any()
    ]
    return float(np.nanmean(areas))


def _weighed(learn: Learning) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Smoothed targets, 0 where unknown, and what each counts: no rare label or rare value is drowned."""
    known = np.isfinite(learn.targets)
    target = np.where(known, learn.targets, 0.0)
    weight = np.where(known, learn.weights, 0.0)
    for column in range(target.shape[1]):
        own = weight[:, column]
        with_label = (own * target[:, column]).sum() / own.sum()
        balance = np.where(target[:, column] >= 0.5, (0.5 / with_label) ** 0.5, (0.5 / (1 - with_label)) ** 0.5)
        weight[:, column] = own * balance * (known.sum() / known[:, column].sum()) ** (1 - RARE_POWER)
    smoothed = target * (1 - SMOOTHING) + SMOOTHING / 2
    return smoothed.astype(np.float32), (weight * known.sum() / weight.sum()).astype(np.float32)


def _optimiser(tower: Tower, settings: TowerSettings) -> torch.optim.AdamW:
    heads = {id(one) for one in tower.heads()}
    rest = [one for one in tower.parameters() if one.requires_grad and id(one) not in heads]
    groups: list[dict[str, Any]] = [
        {"params": rest},
        {"params": tower.heads(), "lr": settings.learning_rate * HEAD_RATE},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=WEIGHT_DECAY)


def _weights(tower: Tower) -> dict[str, Tensor]:
    """What is learnt; what is frozen is left out."""
    learnt = {name for name, one in tower.named_parameters() if one.requires_grad}
    return {name: value.detach().clone() for name, value in tower.state_dict().items() if name in learnt}


def _device(asked: str) -> torch.device:
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(asked)
