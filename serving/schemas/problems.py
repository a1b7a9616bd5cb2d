"""Problems: why a request was not met (RFC 9457)."""

from pydantic import BaseModel, ConfigDict


class FieldOut(BaseModel):
    """What is wrong with a part of the request, which a JSON pointer names."""

    pointer: str
    code: str
    detail: str


class Problem(BaseModel):
    """Why a request was not met (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "/problems/no_model",
                "title": "No model is live",
                "status": 503,
                "code": "no_model",
                "detail": "no churn model has been released to this server",
                "request_id": "3f2a9c0d5b7e4f16",
                "errors": [],
            }
        }
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldOut]
