"""A contract is what was written, or it is refused."""

import json
from typing import Any

import pytest

from models.contract import Contract, Tensor
from models.errors import ContractError

CONTRACT = Contract("churn", (Tensor("x", "float32", (None, 3)),), (Tensor("y", "float32", (None,)),), {"days": 7})


def test_a_contract_comes_back_from_json() -> None:
    assert Contract.parse(json.loads(json.dumps(CONTRACT.to_json()))) == CONTRACT


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": None},
        {"inputs": ["x"]},
        {"outputs": [{"name": "y"}]},
        {"outputs": [{"name": "y", "dtype": "float32", "shape": 2}]},
        {"settings": 7},
    ],
)
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="not a contract"):
        Contract.parse(CONTRACT.to_json() | change)
