"""The same LightGBM model behind Mingjian and behind MLServer: do the same Open Inference Protocol calls agree?

MLServer pins other versions than ours, so it lives in an environment of its own, made once by

    python3.11 -m venv var/mlserver && var/mlserver/bin/pip install mlserver==1.7.1 mlserver-lightgbm==1.7.1

Then ``python -m benchmarks.same_calls --mlserver var/mlserver`` prints a line per call, and exits 1 where the
answers differ or Mingjian gives none.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import requests
import tritonclient.http as triton

from features.user import CHURN_FEATURES
from models.bundle import GOLDEN, MODEL, Golden, write_bundle
from models.churn.graph import HorizonModel, churn_graph
from models.churn.linear import Linear
from models.churn.scorer import INPUT, OUTPUT, ChurnSettings
from models.pointer import Pointer, write_pointer

NAMES = tuple(one.name for one in CHURN_FEATURES)
N = len(NAMES)
TOLERANCE = 1e-6
Call = Callable[[str, np.ndarray], np.ndarray]


def main() -> int:
    """Serve the model on both servers, make every call on both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mlserver", type=Path, required=True, help="the environment that has mlserver-lightgbm")
    options = parser.parse_args()
    booster, rows = fit()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ours = stack.enter_context(serve_here(Path(folder), booster, rows[:5]))
        theirs = stack.enter_context(serve_mlserver(options.mlserver.absolute(), Path(folder), booster))
        results = [compare(name, call, ours, theirs, rows) for name, call in CALLS.items()]
    return 0 if all(results) else 1


def fit() -> tuple[lgb.Booster, np.ndarray]:
    """A booster of 60 trees on synthetic rows, and rows to ask about: some values are missing."""
    rng = np.random.default_rng(7)
    features = rng.exponential(20, (4_000, N)).astype(np.float32)
    features[rng.random(features.shape) < 0.05] = np.nan
    label = (np.nan_to_num(features[:, 0]) - np.nan_to_num(features[:, 3]) + rng.normal(0, 10, 4_000) > 0).astype(int)
    options = {"objective": "binary", "num_leaves": 31, "verbose": -1, "num_threads": 1, "seed": 7}
    return lgb.train(options, lgb.Dataset(features, label), 60), features[:50]


@contextmanager
def serve_here(folder: Path, booster: lgb.Booster, golden: np.ndarray) -> Iterator[str]:
    """Mingjian with the booster released as its champion; gives the address."""
    release(folder / "ours" / "bundles", booster, golden)
    port = free_port()
    settings = {"MINGJIAN_DATA_DIR": str(folder / "ours"), "MINGJIAN_OPEN_ACCESS": "1", "MINGJIAN_LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "serving", "run", "--port", str(port)]
    with running(command, Path.cwd(), settings, f"http://127.0.0.1:{port}/v2/health/ready"):
        yield f"127.0.0.1:{port}"


def release(bundles: Path, booster: lgb.Booster, golden: np.ndarray) -> None:
    """Write the booster alone, without a linear part and uncalibrated, as a churn bundle of one horizon."""
    flat = np.zeros(N)
    linear = Linear(fill=flat, centre=flat, scale=np.ones(N), mean=flat, coefficients=flat, intercept=0.0)
    model = HorizonModel(booster.dump_model(), linear, tree_weight=1.0, slope=1.0, intercept=0.0)
    contract = ChurnSettings(NAMES, horizon_days=(30,), active_days=60, thresholds=(0.5,)).contract()
    examples = Golden({INPUT: golden}, {OUTPUT: np.asarray(booster.predict(golden), np.float32)[:, None]})
    files = {MODEL: churn_graph([model]).SerializeToString(), GOLDEN: examples.encode()}
    bundle = write_bundle(bundles / "churn", contract, files)
    write_pointer(bundles, "churn", "champion", Pointer(bundle.digest, "1", "2025-01-01T00:00:00Z"))


@contextmanager
def serve_mlserver(environment: Path, folder: Path, booster: lgb.Booster) -> Iterator[str]:
    """MLServer with the same booster; gives the address."""
    home, port = folder / "theirs", free_port()
    home.mkdir()
    booster.save_model(home / "model.bst")
    parameters = {"uri": "./model.bst", "version": "1"}
    model = {"name": "churn", "implementation": "mlserver_lightgbm.LightGBMModel", "parameters": parameters}
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (home / "model-settings.json").write_text(json.dumps(model))
    (home / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "parallel_workers": 0, **ports}))
    command = [str(environment / "bin" / "mlserver"), "start", str(home)]
    with running(command, home, {}, f"http://127.0.0.1:{port}/v2/models/churn/ready"):
        yield f"127.0.0.1:{port}"


@contextmanager
def running(command: list[str], home: Path, settings: Mapping[str, str], ready: str) -> Iterator[None]:
    """A server process, for as long as the context lasts, once it answers ``ready``."""
    process = subprocess.Popen(
        command, cwd=home, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    """Whether a server answers 200 there."""
    try:
        return requests.get(url, timeout=1).ok
    except requests.ConnectionError:
        return False


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain_json(address: str, rows: np.ndarray, *, nested: bool) -> np.ndarray:
    """The probabilities by a JSON body, as any HTTP client would send it."""
    data = rows.tolist() if nested else rows.ravel().tolist()
    tensor = {"name": INPUT, "shape": list(rows.shape), "datatype": "FP32", "data": data}
    answer = requests.post(f"http://{address}/v2/models/churn/infer", json={"id": "a", "inputs": [tensor]}, timeout=10)
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    assert (body["id"], body["model_name"]) == ("a", "churn")
    return np.array(body["outputs"][0]["data"])


def by_triton(address: str, rows: np.ndarray, *, binary: bool, compression: str | None = None) -> np.ndarray:
    """The probabilities by NVIDIA's client; without naming an output, as the two servers name theirs differently."""
    tensor = triton.InferInput(INPUT, list(rows.shape), "FP32")
    tensor.set_data_from_numpy(np.ascontiguousarray(rows), binary_data=binary)
    with triton.InferenceServerClient(address) as client:
        answer = client.infer("churn", [tensor], model_version="1", request_compression_algorithm=compression)
        return np.asarray(answer.as_numpy(answer.get_response()["outputs"][0]["name"]))


CALLS: dict[str, Call] = {
    "JSON, flat": lambda address, rows: plain_json(address, np.nan_to_num(rows), nested=False),
    "JSON, nested": lambda address, rows: plain_json(address, np.nan_to_num(rows), nested=True),
    "tritonclient, JSON": lambda address, rows: by_triton(address, np.nan_to_num(rows), binary=False),
    "tritonclient, JSON with NaN": lambda address, rows: by_triton(address, rows, binary=False),
    "tritonclient, binary": lambda address, rows: by_triton(address, rows, binary=True),
    "tritonclient, binary, gzip": lambda address, rows: by_triton(address, rows, binary=True, compression="gzip"),
}


def compare(name: str, call: Call, ours: str, theirs: str, rows: np.ndarray) -> bool:
    """Print whether both servers answer a call, and alike."""
    outcomes = [attempt(call, address, rows) for address in (ours, theirs)]
    arrays = [one.ravel() for one in outcomes if isinstance(one, np.ndarray)]
    if len(arrays) == 2:
        off = float(np.abs(arrays[0] - arrays[1]).max())
        print(f"{name}: both answer, largest difference {off:.1e}")
        return off <= TOLERANCE
    print(f"{name}: Mingjian {said(outcomes[0])}; MLServer {said(outcomes[1])}")
    return isinstance(outcomes[0], np.ndarray)


def attempt(call: Call, address: str, rows: np.ndarray) -> np.ndarray | Exception:
    """The answer, or the error in its place."""
    try:
        return call(address, rows)
    except (requests.HTTPError, triton.InferenceServerException) as error:
        return error


def said(outcome: np.ndarray | Exception) -> str:
    """An outcome in a few words."""
    return "answers" if isinstance(outcome, np.ndarray) else f"refuses ({str(outcome)[:120]})"


if __name__ == "__main__":
    sys.exit(main())
