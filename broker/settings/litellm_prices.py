"""Prices in the form of LiteLLM's `model_prices_and_context_window.json`, as sections of ours.

There a price is dollars for one token, the provider stands in `litellm_provider` and mostly also
before the model's name.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

_SECTIONS: Final[Mapping[str, str]] = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "azure": "azure",
    "azure_ai": "azure",
    "wandb": "coreweave",
}
_GOOGLE: Final = "vertex_ai"
_PROVIDER: Final = "litellm_provider"
_LONG: Final = "_above_200k_tokens"
_LONG_ABOVE: Final = 200_000
_BELIEVED: Final = 1_000.0
"""Dollars for a million tokens. That list is known to hold rows in another unit, tens of thousands
too dear; no model costs so much, so their price counts as unknown."""


def is_litellm(given: Mapping[str, Any]) -> bool:
    """Whether a file's content is in that form."""
    return any(isinstance(row, dict) and _PROVIDER in row for row in given.values())


def from_litellm(
    given: Mapping[str, Any], heads: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The rows of the providers that `heads` has sections for; others are left out."""
    made: dict[str, dict[str, Any]] = {name: {**head, "models": {}} for name, head in heads.items()}
    for key, row in given.items():
        if not isinstance(row, dict) or not isinstance(row.get(_PROVIDER), str):
            continue
        provider = row[_PROVIDER]
        section = "google" if provider.startswith(_GOOGLE) else _SECTIONS.get(provider)
        if section not in made:
            continue
        found = _row(row)
        if found is not None:
            prefix = _GOOGLE if section == "google" else provider
            made[section]["models"].setdefault(key.removeprefix(f"{prefix}/"), found)
    return made


def _row(row: Mapping[str, Any]) -> dict[str, Any] | None:
    made = _prices(row, "")
    if row.get("mode") == "image_generation":
        by_token = _million(row, "output_cost_per_image_token")
        made["output"] = made["output"] if by_token is None else by_token
    each = row.get("output_cost_per_image")
    made["image"] = each if _is_price(each) and each <= _BELIEVED else None
    if all(price is None for price in made.values()):
        return None
    long = _prices(row, _LONG)
    if any(price is not None for price in long.values()):
        kept = {name: made[name] if price is None else price for name, price in long.items()}
        made |= {"long_above": _LONG_ABOVE, "long": kept}
    if isinstance(row.get("source"), str):
        made["source"] = row["source"]
    return made


def _prices(row: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    return {
        "input": _million(row, f"input_cost_per_token{suffix}"),
        "cached_input": _million(row, f"cache_read_input_token_cost{suffix}"),
        "output": _million(row, f"output_cost_per_token{suffix}"),
    }


def _million(row: Mapping[str, Any], name: str) -> float | None:
    each = row.get(name)
    if not _is_price(each):
        return None
    price = round(each * 1e6, 9)
    return price if price <= _BELIEVED else None


def _is_price(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
