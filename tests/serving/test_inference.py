"""The Open Inference Protocol over HTTP, by hand and by NVIDIA's own client."""

import asyncio
import gzip
import json

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from features.user import CHURN_FEATURES
from models.bundle import read_bundle
from models.runtime import OnnxRunner
from serving.inference import Inference
from serving.workers import Workers

N = len(CHURN_FEATURES)
INFER = "/v2/models/churn/infer"
SECRET = "planted-secret-4711"


@pytest.fixture
def features():
    made = np.random.default_rng(5).uniform(0, 50, (7, N)).astype(np.float32)
    made[2, 0] = np.nan
    return made


@pytest.fixture
def expected(world, features):
    """What the champion's graph says of the features."""
    digest = json.loads((world.settings.bundles / "churn" / "champion.json").read_text())["digest"]
    return OnnxRunner(read_bundle(world.settings.bundles / "churn" / digest)).run({"features": features})[
        "churn_probability"
    ]


def request(rows, **fields):
    rows = [[None if one != one else one for one in row] for row in np.asarray(rows, float).tolist()]
    tensor = {"name": "features", "shape": [len(rows), N], "datatype": "FP32", "data": rows}
    return {"inputs": [tensor | fields.pop("tensor", {})], **fields}


@pytest.fixture
def infer(client):
    """Infers and gives the answer's JSON."""

    def post(body, path=INFER):
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return post


def test_rows_in_json_give_what_the_graph_gives(infer, features, expected):
    answer = infer(request(features, id="a-1"))
    [output] = answer.pop("outputs")
    assert answer == {"model_name": "churn", "model_version": "1", "id": "a-1"}
    assert (output["name"], output["datatype"], output["shape"]) == ("churn_probability", "FP32", [7, 3])
    assert np.array_equal(np.float32(output["data"]).reshape(7, 3), expected)


def test_flat_and_nested_data_and_unknown_parameters_mean_the_same(infer, features):
    nested = request(features)
    flat = request(
        features,
        tensor={"data": [one for row in nested["inputs"][0]["data"] for one in row]},
        parameters={"priority": 3},
    )
    assert infer(flat) == infer(nested)


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2, N], [[0.0] * 2] * N),
        ([2, N], [[0.0] * (2 * N)]),
        ([2, N], [[0.0] * (N + 1), [0.0] * (N - 1)]),
        ([2, N], [[[0.0]] * N] * 2),
        ([2, N], [[0.0] * N, 0.0]),
        ([2, N], [0.0] * N),
        ([1, N], [[True] * N]),
        ([1, N], [["0"] * N]),
        ([1, N], [[10**400] * N]),
        ([-1, N], [[0.0] * N]),
        ([2**62, N], [[0.0] * N]),
        ([1, N], []),
    ],
)
def test_data_that_are_not_as_their_shape_says_are_refused(client, shape, data):
    tensor = {"name": "features", "shape": shape, "datatype": "FP32", "data": data}
    answer = client.post("/v2/models/churn/infer", json={"inputs": [tensor]})
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_a_large_batch_gives_what_its_rows_give(infer, features, expected):
    answer = infer(request(np.tile(features, (100, 1))))
    assert np.array_equal(np.float32(answer["outputs"][0]["data"]).reshape(700, 3), np.tile(expected, (100, 1)))


def test_rows_that_come_together_give_what_each_gives_alone_by_its_own_model(world, client, features, expected):
    world.registry.release(2.0, role="challenger")
    client.portal.call(client.app.state.services.slots.follow)
    champion, challenger = (client.app.state.services.slots.find("churn", n).scorer.runner for n in "12")
    inference = Inference(Workers())

    async def ask():
        asked = [(runner, row[None]) for row in features for runner in (champion, challenger)]
        runs = [inference.run(runner, {"features": row}, n_rows=1) for runner, row in asked]
        return [one["churn_probability"] for one in await asyncio.gather(*runs)]

    answers = np.concatenate(client.portal.call(ask))
    assert np.array_equal(answers[::2], expected)
    assert np.array_equal(answers[1::2], challenger.run({"features": features})["churn_probability"])


def test_named_outputs_are_answered(infer, features):
    assert infer(request(features, outputs=[{"name": "churn_probability"}])) == infer(request(features))


def test_the_challenger_answers_under_its_version(world, infer, client, features, eventually):
    world.registry.release(2.0, role="challenger")
    eventually(lambda: client.get("/v2/models/churn").json()["versions"] == ["1", "2"])
    champion, challenger = (infer(request(features), f"/v2/models/churn/versions/{n}/infer") for n in "12")
    assert champion == infer(request(features))
    assert challenger["model_version"] == "2"
    assert challenger["outputs"][0]["data"][0] > champion["outputs"][0]["data"][0]


def test_metadata_say_what_goes_in_and_in_which_order(client):
    answer = client.get("/v2/models/churn").json()
    assert answer["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, N]}]
    assert answer["outputs"] == [{"name": "churn_probability", "datatype": "FP32", "shape": [-1, 3]}]
    assert answer["parameters"]["features"] == [one.name for one in CHURN_FEATURES]
    assert (answer["versions"], answer["platform"]) == (["1"], "onnxruntime_onnx")
    assert client.get("/v2/models/churn/versions/1").json() == answer
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("path", ["/v2/models/none", "/v2/models/churn/versions/9", "/v2/models/churn/versions/9/ready",
                                  "/v2/nothing"])  # fmt: skip
def test_what_is_not_there_is_404_in_the_protocols_form(client, path):
    answer = client.get(path)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_without_a_champion_nothing_is_ready(world):
    with world.open() as client:
        for path in ("/v2/models/churn", "/v2/models/churn/ready", "/v2/health/ready"):
            answer = client.get(path)
            assert (answer.status_code, list(answer.json())) == (503, ["error"])
            assert int(answer.headers["retry-after"]) > 0
        assert client.get("/v2/health/live").json() == {"live": True}


ROW = [[1.0] * N]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"inputs": []},
        {"inputs": SECRET},
        request(ROW, tensor={"name": SECRET}),
        request(ROW, tensor={"datatype": SECRET}),
        request(ROW, tensor={"datatype": "FP64"}),
        request(ROW, tensor={"shape": [1, N + 1]}),
        request(ROW, tensor={"shape": [N]}),
        request(ROW, tensor={"shape": [-1, N]}),
        request(ROW, tensor={"shape": [1 << 70, N]}),
        request(ROW, tensor={"shape": [0, N], "data": []}),
        request(ROW, tensor={"shape": [1001, N], "data": [1] * 1001 * N}),
        request(ROW, tensor={"data": [1.0] * (N - 1)}),
        request(ROW, tensor={"data": [SECRET] * N}),
        request(ROW, tensor={"data": [True] * N}),
        request(ROW, tensor={"data": [[[1.0] * (N - 1)], 1.0]}),
        request(ROW, tensor={"data": [{}] * N}),
        request(ROW, tensor={"data": [1e300] * N}),
        request(ROW, tensor={"data": [10**400] * N}),
        request(ROW, tensor={"data": None}),
        request(ROW, tensor={"parameters": {"binary_data_size": 4 * N}}),
        request(ROW, outputs=[{"name": SECRET}]),
        request(ROW, id=7),
        {"inputs": request(ROW)["inputs"] * 2},
    ],
)
def test_what_does_not_fit_the_model_is_refused_without_repeating_it(client, body):
    answer = client.post(INFER, json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"]), answer.text
    assert SECRET not in answer.text


def post_framed(client, head, behind, **headers):
    encoded = json.dumps(head).encode()
    headers = {"Inference-Header-Content-Length": str(len(encoded))} | headers
    return client.post(INFER, content=encoded + behind, headers=headers)


def binary(features):
    return request(ROW, tensor={"data": None, "shape": list(features.shape),
                                "parameters": {"binary_data_size": features.nbytes}})  # fmt: skip


@pytest.mark.parametrize(("cut", "length"), [(-1, None), (1, None), (0, "100000"), (0, "0"), (0, "-1"), (0, SECRET)])
def test_bytes_that_do_not_add_up_are_refused(client, features, cut, length):
    behind = features.tobytes()[:cut] if cut < 0 else features.tobytes() + b"x" * cut
    headers = {"Inference-Header-Content-Length": length} if length else {}
    answer = post_framed(client, binary(features), behind, **headers)
    assert answer.status_code in (400, 422)
    assert list(answer.json()) == ["error"]
    assert SECRET not in answer.text


def test_infinity_is_refused_in_bytes_too(client, features):
    features[1, 1] = np.inf
    assert post_framed(client, binary(features), features.tobytes()).status_code == 400


@pytest.mark.parametrize(
    ("content", "encoding", "status"),
    [
        (gzip.compress(json.dumps(request(ROW)).encode(), mtime=0), "gzip", 200),
        (gzip.compress(json.dumps(request(ROW)).encode(), mtime=0)[:-9], "gzip", 400),
        (b"no gzip", "gzip", 400),
        (b"{}", "br", 415),
        (gzip.compress(b" " * (1 << 24), mtime=0), "gzip", 413),
    ],
)
def test_a_compressed_body_is_read_up_to_the_limit_of_all_bodies(client, content, encoding, status):
    answer = client.post(INFER, content=content, headers={"content-encoding": encoding})
    assert answer.status_code == status
    assert status == 200 or list(answer.json()) == ["error"]


@pytest.fixture
def address(world, listen):
    """Of a running server with a champion."""
    world.registry.release()
    with listen(world.app()) as address:
        yield address


@pytest.fixture
def triton_client(address):
    with triton.InferenceServerClient(address) as opened:
        yield opened


def test_tritons_client_finds_the_server_and_its_models(triton_client):
    assert triton_client.is_server_live()
    assert triton_client.is_server_ready()
    assert triton_client.is_model_ready("churn")
    assert triton_client.is_model_ready("churn", "1")
    assert not triton_client.is_model_ready("churn", "2")
    assert triton_client.get_server_metadata()["name"] == "mingjian"
    assert triton_client.get_model_metadata("churn")["inputs"][0]["shape"] == [-1, N]


@pytest.mark.slow
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("binary_in", [True, False])
def test_tritons_client_gets_the_graphs_numbers(triton_client, features, expected, binary_in, binary_out, compression):
    tensor = triton.InferInput("features", list(features.shape), "FP32")
    tensor.set_data_from_numpy(features, binary_data=binary_in)
    outputs = None if binary_out is None else [triton.InferRequestedOutput("churn_probability", binary_out)]
    answer = triton_client.infer(
        "churn", [tensor], request_id="r-1", outputs=outputs,
        request_compression_algorithm=compression, response_compression_algorithm=compression,
    )  # fmt: skip
    assert np.array_equal(answer.as_numpy("churn_probability"), expected)
    assert answer.get_response()["id"] == "r-1"


def test_tritons_client_is_told_what_was_wrong(triton_client, features):
    tensor = triton.InferInput("features", [7, N - 1], "FP32")
    tensor.set_data_from_numpy(features[:, 1:])
    with pytest.raises(InferenceServerException, match="must be FP32 of shape"):
        triton_client.infer("churn", [tensor])
