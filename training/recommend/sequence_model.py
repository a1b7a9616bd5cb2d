"""Fits the sequence model, and writes it as a graph that gives the same."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.contract import Tensor as TensorSpec
from models.errors import ExportError
from models.onnx_graph import GraphBuilder
from models.recommend.histories import WINDOW, Histories
from models.recommend.network import HIDDEN, NextNote
from models.recommend.sequence import N_PROPOSED, SequenceSource
from models.runtime import open_session
from training.recommend.ranking import TOP

PARITY: Final = 1e-4
"""The largest difference in probability between network and graph that may pass."""

MAX_EPOCHS: Final = 60
MAX_BATCHES: Final = 2_500
_PATIENCE: Final = 5
_BATCH: Final = 256
_MIN_BATCHES: Final = 60
"""Batches in a round, at least: of few runs, batches are smaller."""
_NEGATIVES: Final = 2_000
"""Notes, drawn evenly, that a step's next notes are told from."""
_DEV_USERS: Final = 2_000
"""Users whose last step is held out of what is learnt, to see when to stop."""
_LEARNING_RATE: Final = 5e-3


def fit_sequence_model(known: Histories, n_notes: int, *, seed: int) -> bytes:
    """The graph of a model of what users take up next, learnt from what is known of them alone.

    ExportError where the graph does not give what the network gives.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = _fit(known, n_notes, np.random.default_rng(seed))
    finally:
        torch.set_num_threads(threads)
    graph = sequence_graph(network)
    _require_parity(network, graph, known)
    return graph


def _fit(known: Histories, n_notes: int, rng: np.random.Generator) -> NextNote:
    network = NextNote(n_notes)
    optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    users = np.flatnonzero(known.lengths >= 3)
    dev = np.sort(rng.permutation(users)[: min(_DEV_USERS, len(users) // 2)])
    runs = _runs(known, dev)
    best, best_hits, waited, n_batches = deepcopy(network.state_dict()), -1.0, 0, 0
    n = max(16, min(_BATCH, len(runs) // _MIN_BATCHES))
    for _ in range(MAX_EPOCHS):
        network.train()
        for batch in _batches(runs, n, n_notes, rng):
            optimizer.zero_grad()
            loss = _loss(network, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
        hits = _hits(network, known, dev)
        waited = 0 if hits > best_hits else waited + 1
        if not waited:
            best, best_hits = deepcopy(network.state_dict()), hits
        n_batches += -(-len(runs) // n)
        if waited >= _PATIENCE or n_batches >= MAX_BATCHES:
            break
    network.load_state_dict(best)
    return network.eval()


def _runs(known: Histories, dev: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Each user's notes in runs of at most a window and one; of the held-out users all but the last note."""
    held_out, runs = set(dev.tolist()), []
    for user in range(len(known)):
        notes = known.notes[known.starts[user] : known.starts[user + 1]]
        notes = notes[:-1] if user in held_out else notes
        runs += [notes[start : start + WINDOW + 1] for start in range(0, len(notes) - 1, WINDOW)]
    return [run for run in runs if len(run) > 1]


def _batches(runs: list[npt.NDArray[np.int64]], n: int, n_notes: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Runs of like length together, padded; in a new order each time."""
    lengths = np.array([len(run) for run in runs])
    order = np.argsort(lengths + rng.random(len(runs)) * 3, kind="stable")
    starts = rng.permutation(np.arange(0, len(order), n))
    for start in starts.tolist():
        chosen = order[start : start + n].tolist()
        batch = np.full((len(chosen), int(lengths[chosen].max())), n_notes, np.int64)
        for row, place in enumerate(chosen):
            batch[row, : lengths[place]] = runs[place]
        yield torch.from_numpy(batch)


def _loss(network: NextNote, batch: Tensor) -> Tensor:
    """Softmax over the next note and drawn others (all notes where they are few)."""
    is_step = batch[:, 1:] < network.n_notes
    wanted, targets = network(batch[:, :-1])[is_step], batch[:, 1:][is_step]
    if network.n_notes <= 2 * _NEGATIVES:
        return nn.functional.cross_entropy(network.logits(wanted, torch.arange(network.n_notes)), targets)
    drawn = torch.randint(network.n_notes, (_NEGATIVES,))
    own = (wanted * network.notes.weight[targets]).sum(dim=1, keepdim=True) + network.bias[targets][:, None]
    others = network.logits(wanted, drawn) + np.log(network.n_notes / _NEGATIVES)
    others = others.masked_fill(drawn[None] == targets[:, None], -torch.inf)
    return nn.functional.cross_entropy(torch.cat([own, others], dim=1), torch.zeros(len(targets), dtype=torch.long))


@torch.no_grad()
def _hits(network: NextNote, known: Histories, dev: npt.NDArray[np.int64]) -> float:
    """Discounted hits among the first ten, of the held-out users' last notes."""
    network.eval()
    gain = 0.0
    for start in range(0, len(dev), _BATCH):
        ends = known.starts[dev[start : start + _BATCH] + 1].tolist()
        begins = known.starts[dev[start : start + _BATCH]].tolist()
        runs = [known.notes[max(begin, end - 1 - WINDOW) : end] for begin, end in zip(begins, ends, strict=True)]
        length = max(map(len, runs)) - 1
        notes = np.full((len(runs), length), network.n_notes, np.int64)
        for row, run in enumerate(runs):
            notes[row, : len(run) - 1] = run[:-1]
        last = torch.tensor([len(run) - 2 for run in runs])
        wanted = network(torch.from_numpy(notes))[torch.arange(len(runs)), last]
        logits = network.logits(wanted, torch.arange(network.n_notes))
        logits.scatter_(1, torch.from_numpy(np.minimum(notes, network.n_notes - 1)), -torch.inf)
        targets = torch.tensor([int(run[-1]) for run in runs])
        rank = (logits > logits[torch.arange(len(runs)), targets][:, None]).sum(dim=1).numpy()
        gain += float((1 / np.log2(rank[rank < TOP] + 2)).sum())
    return gain / max(len(dev), 1)


def sequence_graph(network: NextNote) -> bytes:
    """Notes (n, length) padded at their ends and lengths (n,) in; the likeliest notes and their probabilities out."""
    graph, weights = GraphBuilder(), {name: one.detach().numpy() for name, one in network.state_dict().items()}
    vectors = graph.constant(weights["notes.weight"], np.float32)
    read = graph.add("Transpose", graph.add("Gather", vectors, "notes"), perm=[1, 0, 2])
    gates = [_reordered(weights[f"gru.{name}_l0"]) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    w, r = (graph.constant(one[None], np.float32) for one in gates[:2])
    b = graph.constant(np.concatenate(gates[2:])[None], np.float32)
    hidden = _last_hidden(graph, read, w, r, b)
    linear = graph.constant(weights["out.weight"].T, np.float32)
    wanted = graph.add("Add", graph.add("MatMul", hidden, linear), graph.constant(weights["out.bias"], np.float32))
    among = graph.constant(weights["notes.weight"][:-1].T, np.float32)
    logits = graph.add("Add", graph.add("MatMul", wanted, among), graph.constant(weights["bias"], np.float32))
    probability = graph.add("Softmax", logits, axis=1)
    k = graph.constant([min(N_PROPOSED, network.n_notes)], np.int64)
    graph.top(probability, k, values="probability", places="note")
    inputs = [TensorSpec("notes", "int64", (None, None)), TensorSpec("lengths", "int32", (None,))]
    outputs = [TensorSpec("probability", "float32", (None, None)), TensorSpec("note", "int64", (None, None))]
    encoded: bytes = graph.model("sequence", inputs, outputs).SerializeToString()
    return encoded


def _last_hidden(graph: GraphBuilder, read: str, w: str, r: str, b: str) -> str:
    """The hidden state (n, 128) after each sequence's last note."""
    last = graph.last_of_gru(read, w, r, b, "lengths", hidden_size=HIDDEN)
    return graph.add("Squeeze", last, graph.constant([0], np.int64))


def _reordered(gates: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gates in ONNX's order (update, reset, new) from torch's (reset, update, new)."""
    reset, update, new = np.split(gates, 3)
    return np.concatenate([update, reset, new])


@torch.no_grad()
def _require_parity(network: NextNote, graph: bytes, known: Histories) -> None:
    histories = known.block(0, min(len(known), 200))
    source = SequenceSource(open_session(graph), network.n_notes)
    found = source.propose(histories, n_notes=network.n_notes)
    row, note = np.divmod(found.key, network.n_notes)
    latest = histories.latest
    expected = np.zeros(len(found.key), np.float32)
    for user in np.unique(row).tolist():
        notes = torch.from_numpy(latest.note[latest.row == user])[None]
        logits = network.logits(network(notes)[:, -1], torch.arange(network.n_notes))
        expected[row == user] = torch.softmax(logits, dim=1)[0].numpy()[note[row == user]]
    off = float(np.abs(found.score - expected).max(initial=0))
    if not off <= PARITY:
        raise ExportError(f"the sequence model's graph is off by {off:.3g}, allowed {PARITY:g}")
