"""Slots follow their pointers: swaps, refusals, and what serves meanwhile."""

import asyncio
import hashlib
import json
import re
import resource
import threading
from pathlib import Path

import numpy as np
import pytest

from models.bundle import GOLDEN, MODEL, Golden
from models.churn.scorer import INPUT
from models.contract import Contract
from models.pointer import pointer_path
from serving.churn import CHURN
from serving.metrics import Metrics
from serving.slots import Slots, Task


def models(client):
    return client.get("/v1/models").json()


def live(client, role="champion"):
    return {one["role"]: one for one in models(client)["live"]}.get(role)


def metric(client, name, role="champion"):
    found = re.search(rf'^{name}{{model="churn",role="{role}"}} (\S+)$', client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0


def test_a_new_release_is_swapped_in(client, world, score, send, event, eventually):
    send(event("u1", days=10))
    first = score("u1")
    pointer = world.registry.release(bias=1.0)
    eventually(lambda: live(client)["digest"] == pointer.digest)
    second = score("u1")
    assert second["model"] == {"name": "churn", "version": "2", "alias": "champion", "digest": pointer.digest}
    # raw scores 0.2 and 1.2
    probabilities = [answer["results"][0]["churn"][0]["probability"] for answer in (first, second)]
    assert probabilities == pytest.approx([0.549834, 0.768525], abs=1e-6)
    assert metric(client, "mingjian_model_swaps_total") == 2


def test_models_lists_what_each_slot_serves(client, world, eventually):
    pointer = world.registry.release(bias=2.0, role="challenger")
    eventually(lambda: live(client, "challenger"))
    found = live(client, "challenger")
    assert found.pop("loaded_at") == "2025-05-01T12:00:00Z"
    assert found == {"name": "churn", "role": "challenger", "version": "2", "digest": pointer.digest,
                     "released_at": "2025-04-30T00:00:00Z", "gates": {"auc": 0.8}}  # fmt: skip
    assert live(client)["version"] == "1"


def test_a_challenger_never_answers(client, world, score, eventually):
    world.registry.release(bias=2.0, role="challenger")
    eventually(lambda: live(client, "challenger"))
    assert score("u1")["model"]["alias"] == "champion"


def test_the_same_bundle_released_again_is_the_same_scorer_with_another_version(client, world, eventually):
    def scorer(role):
        return next(one.scorer for one in client.app.state.services.slots.live() if one.role == role)

    digest = live(client)["digest"]
    before = scorer("champion")
    world.registry.point(digest)
    world.registry.point(digest, "challenger")
    eventually(lambda: live(client)["version"] == "2" and live(client, "challenger"))
    assert scorer("champion") is scorer("challenger") is before


def test_a_removed_pointer_leaves_the_model_serving(client, world, score, caplog, eventually):
    pointer_path(world.settings.bundles, "churn", "champion").unlink()
    eventually(lambda: "pointer removed" in caplog.text)
    assert score("u1")["model"]["version"] == "1"


def truncated(registry):
    bundle = registry.bundle(bias=3.0)
    file = registry.folder / "churn" / bundle.digest / MODEL
    file.write_bytes(file.read_bytes()[:-10])
    return bundle.digest


def tampered(registry):
    bundle = registry.bundle(bias=3.0)
    file = registry.folder / "churn" / bundle.digest / MODEL
    file.write_bytes(file.read_bytes().replace(b"Sigmoid", b"sigmoiD"))
    return bundle.digest


def incomplete(registry):
    bundle = registry.bundle(bias=3.0)
    (registry.folder / "churn" / bundle.digest / GOLDEN).unlink()
    return bundle.digest


def of_another_task(registry):
    contract = registry.bundle().contract
    return registry.bundle(contract=Contract("quality", contract.inputs, contract.outputs, contract.settings)).digest


def of_unknown_features(registry):
    contract = registry.bundle().contract
    features = ["moon_phase", *contract.settings["features"][1:]]
    settings = {**contract.settings, "features": features}
    return registry.bundle(contract=Contract("churn", contract.inputs, contract.outputs, settings)).digest


def answering_nan(registry):
    return registry.bundle(guard_nan=False).digest


def answering_above_one(registry):
    return registry.bundle(bias=3.0, activation="Identity").digest


def not_its_golden(registry):
    return registry.bundle(files={MODEL: registry.bundle(bias=0.1).files[MODEL]}).digest


def without_golden_outputs(registry):
    golden = Golden({INPUT: np.zeros((1, 13), np.float32)}, {"other": np.zeros((1, 3), np.float32)})
    return registry.bundle(files={GOLDEN: golden.encode()}).digest


def with_a_manifest_of_another_form(registry):
    digest = hashlib.sha256(b"[]").hexdigest()
    path = registry.folder / "churn" / digest
    path.mkdir()
    (path / "manifest.json").write_bytes(b"[]")
    return digest


def absent(registry):
    return "a" * 64


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (truncated, "bytes, expected"),
        (tampered, "was changed"),
        (incomplete, "golden.json can't be read"),
        (of_another_task, "task is quality"),
        (of_unknown_features, "moon_phase"),
        (answering_nan, "NaN"),
        (answering_above_one, "not between 0 and 1"),
        (not_its_golden, "off by"),
        (without_golden_outputs, ""),
        (with_a_manifest_of_another_form, ""),
        (absent, "manifest.json can't be read"),
    ],
)
def test_a_bad_bundle_is_refused_and_the_old_one_serves(client, world, score, caplog, make, reason, eventually):
    digest = make(world.registry)
    world.registry.point(digest)
    eventually(lambda: models(client)["refused"])
    [refused] = models(client)["refused"]
    assert reason in refused["reason"]
    assert (refused["name"], refused["role"], refused["digest"]) == ("churn", "champion", digest)
    assert score("u1")["model"]["version"] == "1"
    for _ in range(10):
        client.portal.call(client.app.state.services.slots.follow)
    assert (metric(client, "mingjian_model_refusals_total"), metric(client, "mingjian_slot_refused")) == (1, 1)
    assert [one.reason for one in caplog.records if one.msg == "release refused"] == [refused["reason"]]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"digest": "../../etc"}', "\udcff", json.dumps({"digest": "a" * 64})])
def test_a_garbled_pointer_is_refused_and_the_old_model_serves(client, world, score, text, eventually):
    path = pointer_path(world.settings.bundles, "churn", "champion")
    path.write_bytes(text.encode(errors="surrogateescape"))
    eventually(lambda: models(client)["refused"])
    assert "not a pointer" in models(client)["refused"][0]["reason"]
    assert score("u1")["model"]["version"] == "1"


def test_a_refused_slot_recovers_when_its_pointer_moves_on(client, world, eventually):
    world.registry.point("b" * 64)
    eventually(lambda: models(client)["refused"])
    pointer = world.registry.release(bias=1.0)
    eventually(lambda: live(client)["digest"] == pointer.digest)
    assert models(client)["refused"] == []
    assert metric(client, "mingjian_slot_refused") == 0


def test_a_bad_release_at_the_start_leaves_the_slot_empty(world):
    world.registry.point("b" * 64)
    with world.open() as client:
        assert models(client)["live"] == []
        assert client.get("/readyz").json()["checks"]["churn"] == "no_model"


def test_a_scorer_that_fails_in_an_unforeseen_way_is_refused(world):
    def broken(bundle):
        raise ZeroDivisionError("x" * 1000)

    slots = Slots(world.settings.bundles, [Task("churn", broken, None)], metrics=Metrics(), clock=world.clock)
    world.registry.release()
    asyncio.run(slots.follow())
    [refusal] = slots.refused()
    assert refusal.reason == "can't be used: ZeroDivisionError: " + "x" * 200


@pytest.mark.parametrize("trouble", [MemoryError(), OSError("too many open files")])
def test_a_release_that_the_machine_could_not_load_is_tried_again(world, trouble):
    troubles = [trouble] * 3

    def scorer(bundle):
        if troubles:
            raise troubles.pop()
        return CHURN.scorer(bundle)

    metrics = Metrics()
    task = Task("churn", scorer, CHURN.canary)
    slots = Slots(world.settings.bundles, [task], metrics=metrics, clock=world.clock)
    pointer = world.registry.release()
    for _ in range(3):
        asyncio.run(slots.follow())
        assert [one.digest for one in slots.refused()] == [pointer.digest]
    asyncio.run(slots.follow())
    assert list(slots.refused()) == []
    assert slots.champion(task).pointer == pointer
    count = metrics.registry.get_sample_value("mingjian_model_refusals_total", {"model": "churn", "role": "champion"})
    assert count == 1


def test_swaps_under_load_fail_nothing_and_mix_nothing(client, world, send, event, eventually):
    """Each answer's probability must be that of the version it names: sigmoid(bias + 0.2), bias = version / 10."""
    send(event("u1", days=10))
    eventually(lambda: live(client))
    first = live(client)["digest"]
    biases, answers, stop = {first: 0.0}, [], threading.Event()

    def score_on():
        while not stop.is_set():
            answers.append(client.post("/v1/users:score", json={"user_ids": ["u1", "u1"]}))

    callers = [threading.Thread(target=score_on) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for version in range(1, 21):
            pointer = world.registry.release(bias=version / 10)
            biases[pointer.digest] = version / 10
            eventually(lambda digest=pointer.digest: answers and digest in answers[-1].text)
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert {one.status_code for one in answers} == {200}
    assert {one.json()["model"]["digest"] for one in answers} >= biases.keys() - {first}
    for body in (one.json() for one in answers):
        expected = 1 / (1 + np.exp(-(biases[body["model"]["digest"]] + 0.2)))
        assert [one["churn"][0]["probability"] for one in body["results"]] == [pytest.approx(expected, abs=1e-6)] * 2


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.anyio
async def test_two_hundred_swaps_leave_memory_flat(world):
    """Two bundles in turn, so that only what a swap keeps could grow; the allocator settles within the first fifty."""
    slots = Slots(world.settings.bundles, [CHURN], metrics=Metrics(), clock=world.clock)
    digests = [world.registry.bundle(bias).digest for bias in (0.0, 1.0)]
    sizes = []
    for swap in range(250):
        world.registry.point(digests[swap % 2])
        await slots.follow()
        assert slots.champion(CHURN).pointer.digest == digests[swap % 2]
        sizes.append(resident_bytes())
    assert max(sizes[50:]) - sizes[50] < 8 * 2**20
