"""A prompt's own `providers`, `regions` and `max_cost_usd`."""

from typing import Any

import orjson
import pytest

from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Catalog, Prompt, Rejected

CATALOG = Catalog({"chat": "chat"}, {"chat": "chat"}, {"chat": ("a", "b")})


def parsed(**fields: Any) -> Prompt | Rejected:
    value = orjson.dumps({"prompt": "Why is the sky blue?", **fields})
    return parse_prompt(InputRecord("prompts", 0, 1, 1_000.0, None, value), CATALOG)


@pytest.mark.parametrize(
    "fields",
    [
        {"providers": ["a"]},
        {"regions": ["eu", "us"]},
        {"max_cost_usd": 0},
        {"max_cost_usd": 0.5, "providers": None},
    ],
)
def test_sound_ones_pass(fields: dict[str, Any]) -> None:
    assert isinstance(parsed(**fields), Prompt)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"providers": "a"}, "invalid_providers"),
        ({"providers": []}, "invalid_providers"),
        ({"providers": [""]}, "invalid_providers"),
        ({"regions": ["eu", 5]}, "invalid_regions"),
        ({"regions": ["r"] * 65}, "invalid_regions"),
        ({"max_cost_usd": -1}, "invalid_max_cost_usd"),
        ({"max_cost_usd": True}, "invalid_max_cost_usd"),
        ({"max_cost_usd": "1"}, "invalid_max_cost_usd"),
    ],
)
def test_others_are_refused_by_name(fields: dict[str, Any], code: str) -> None:
    found = parsed(**fields)
    assert isinstance(found, Rejected)
    assert found.code == code
