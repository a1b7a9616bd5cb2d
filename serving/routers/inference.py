"""The Open Inference Protocol (KServe's and Triton's REST API) over the live models: tensors in, tensors out.

For callers that compute features themselves and speak this protocol already; those who ask about users want
``POST /v1/users:score``. Errors here are the protocol's ``{"error": ...}``.
"""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response

from serving.compression import inflated
from serving.deps import GuardedRoute, OpenModels, Services, services_of
from serving.errors import BadRequestError, InvalidError, NotReadyError
from serving.middleware import call_of
from serving.schemas.inference import InferAnswer, Live, ModelMetadata, ModelReady, Ready, ServerMetadata, TensorOut
from serving.slots import LiveModel, Slots
from serving.tensors import Framed, describe, read_inputs, read_request, require_outputs, write_answer

JSON_LENGTH: Final = "Inference-Header-Content-Length"
_BINARY: Final = "application/octet-stream"
_LENGTH: Final = re.compile(r"[0-9]{1,9}")

ModelName = Annotated[str, Path(description="As in `GET /v1/models`.", examples=["churn"])]
Version = Annotated[str, Path(description="The champion's or the challenger's.", examples=["1"])]

_FRAMED: Final = {_BINARY: {"schema": {"type": "string", "format": "binary"}}}
_INFER: Final[dict[str, Any]] = {
    "response_model": InferAnswer,
    "responses": {200: {"content": _FRAMED}},
    "openapi_extra": {
        "parameters": [
            {
                "name": JSON_LENGTH,
                "in": "header",
                "required": False,
                "schema": {"type": "integer", "minimum": 0, "title": JSON_LENGTH},
                "description": "How long the JSON is, where bytes of tensors follow it.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}}, **_FRAMED},
        },
    },
}
"""The body is read here and not by FastAPI: bytes of tensors may follow the JSON."""

router = APIRouter(prefix="/v2", tags=["open inference protocol"], route_class=GuardedRoute)


@router.post("/models/{model}/infer", **_INFER)
async def infer(services: OpenModels, request: Request, model: ModelName) -> Response:
    """Infer with the champion on up to 1,000 rows; nothing is stored."""
    return await _infer(services, request, services.slots.find(model))


@router.post("/models/{model}/versions/{version}/infer", **_INFER)
async def infer_version(services: OpenModels, request: Request, model: ModelName, version: Version) -> Response:
    """Infer with a live version, such as the challenger's."""
    return await _infer(services, request, services.slots.find(model, version))


@router.get("/health/live")
async def server_live() -> Live:
    """Answer, while the process can."""
    return Live(live=True)


@router.get("/health/ready")
async def server_ready(request: Request) -> Ready:
    """Try what `/readyz` tries; 503 unless all is well."""
    if set((await services_of(request).health.checks()).values()) != {"ok"}:
        raise NotReadyError("not ready: /readyz says what failed")
    return Ready(ready=True)


@router.get("")
async def server_metadata(_: OpenModels, request: Request) -> ServerMetadata:
    """Name this server."""
    return ServerMetadata(name="mingjian", version=request.app.version, extensions=["binary_tensor_data"])


@router.get("/models/{model}")
async def model_metadata(services: OpenModels, model: ModelName) -> ModelMetadata:
    """Describe the champion: its tensors, and the order of its features."""
    return _metadata(services.slots, services.slots.find(model))


@router.get("/models/{model}/versions/{version}")
async def model_version_metadata(services: OpenModels, model: ModelName, version: Version) -> ModelMetadata:
    """Describe a live version."""
    return _metadata(services.slots, services.slots.find(model, version))


@router.get("/models/{model}/ready")
async def model_ready(services: OpenModels, model: ModelName) -> ModelReady:
    """Say whether the champion answers."""
    return ModelReady(name=services.slots.find(model).model, ready=True)


@router.get("/models/{model}/versions/{version}/ready")
async def model_version_ready(services: OpenModels, model: ModelName, version: Version) -> ModelReady:
    """Say whether a live version answers."""
    return ModelReady(name=services.slots.find(model, version).model, ready=True)


def _metadata(slots: Slots, found: LiveModel[Any]) -> ModelMetadata:
    contract = found.scorer.runner.contract
    versions = dict.fromkeys(one.pointer.version for one in slots.live() if one.model == found.model)
    return ModelMetadata(
        name=found.model,
        versions=list(versions),
        platform="onnxruntime_onnx",
        inputs=[TensorOut(**one) for one in describe(contract.inputs)],
        outputs=[TensorOut(**one) for one in describe(contract.outputs)],
        parameters=dict(contract.settings),
    )


async def _infer(services: Services, request: Request, found: LiveModel[Any]) -> Response:
    call = call_of(request)
    call.model, call.version = found.model, found.pointer.version
    if not found.takes_rows:
        raise BadRequestError("this model's tensors are no rows of things asked about: ask POST /v1/notes:score")
    encoding = request.headers.get("content-encoding", "")
    body = inflated(await request.body(), encoding, limit=services.max_body_bytes)
    asked, behind = read_request(Framed(body, _json_length(request.headers.get(JSON_LENGTH))))
    n_rows, runner = asked.inputs[0].shape[0], found.scorer.runner
    require_outputs(asked, runner.contract)
    inputs = await services.workers.run(n_rows, read_inputs, asked, behind, runner.contract)
    outputs = await services.inference.run(runner, inputs, n_rows=n_rows)
    head = {"model_name": found.model, "model_version": found.pointer.version}
    answer = await services.workers.run(n_rows, write_answer, asked, outputs, head)
    services.metrics.batch_size.observe([n_rows], "infer")
    headers = {} if answer.n_json is None else {JSON_LENGTH: str(answer.n_json)}
    return Response(answer.body, headers=headers, media_type=_BINARY if headers else "application/json")


def _json_length(text: str | None) -> int | None:
    if text is not None and not _LENGTH.fullmatch(text):
        raise InvalidError(f"{JSON_LENGTH} must be a whole number")
    return None if text is None else int(text)
