"""Options of a prompt for Gemini: each is mapped, the same anyway, or refused by name."""

from typing import Any

import pytest
from openai.types.chat import completion_create_params

from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers.building import work
from tests.workers.providers.test_gemini_request import asked, body_of, config_of
from workers.providers.dialect import CannotExpressError
from workers.providers.gemini import Gemini
from workers.providers.gemini_request import BROKERS, HARMLESS

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
OLDER = ServedModel(name="gemini-2.5-flash")


class TestTools:
    @pytest.mark.parametrize(
        ("choice", "config"),
        [
            ("auto", None),
            (None, None),
            ("none", {"mode": "NONE"}),
            ("required", {"mode": "ANY"}),
            (
                {"type": "function", "function": {"name": "look"}},
                {"mode": "ANY", "allowedFunctionNames": ["look"]},
            ),
            (
                {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
                {"mode": "VALIDATED", "allowedFunctionNames": ["look"]},
            ),
        ],
    )
    def test_choices(self, choice: Any, config: Any) -> None:
        body = body_of({"prompt": "Why?", "tools": [TOOL], "tool_choice": choice})
        expected = None if config is None else {"functionCallingConfig": config}
        assert body.get("toolConfig") == expected

    def test_strict_keeps_to_the_schema(self) -> None:
        strict = {"type": "function", "function": {"name": "look", "strict": True}}
        body = body_of({"prompt": "Why?", "tools": [TOOL, strict]})
        assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
        assert body["tools"] == [
            {
                "functionDeclarations": [
                    {"name": "look", "parametersJsonSchema": {"type": "object"}},
                    {"name": "look"},
                ]
            }
        ]

    @pytest.mark.parametrize(
        "fields",
        [
            {"tools": [{"type": "web_search"}]},
            {"tools": [{"type": "function"}]},
            {"tools": "all"},
            {"tools": [TOOL], "parallel_tool_calls": False},
            {"tools": [TOOL], "tool_choice": "some"},
            {"tools": [TOOL], "tool_choice": {"type": "custom"}},
            {"tool_choice": "required"},
        ],
    )
    def test_what_cannot_be_said(self, fields: dict[str, Any]) -> None:
        with pytest.raises(CannotExpressError):
            asked({"prompt": "Why?", **fields})


class TestFields:
    @pytest.mark.parametrize(
        ("effort", "served", "config"),
        [
            ("minimal", "gemini-3-flash", {"thinkingLevel": "MINIMAL"}),
            ("xhigh", "gemini-3.1-pro", {"thinkingLevel": "XHIGH"}),
            ("high", "projects/p/locations/l/endpoints/1", {"thinkingLevel": "HIGH"}),
            ("none", "gemini-2.5-flash", {"thinkingBudget": 0}),
            ("medium", "gemini-2.5-pro", {"thinkingBudget": 8192}),
        ],
    )
    def test_effort_by_level_or_by_budget(self, effort: str, served: str, config: Any) -> None:
        got = config_of({"reasoning_effort": effort}, ServedModel(name=served))
        assert got["thinkingConfig"] == config

    @pytest.mark.parametrize(
        ("effort", "served"),
        [("none", "gemini-3-pro"), ("none", "gemini-2.5-pro"), ("huge", "gemini-2.5-flash")],
    )
    def test_effort_that_a_model_has_not(self, effort: str, served: str) -> None:
        with pytest.raises(CannotExpressError, match="reasoning_effort"):
            asked({"prompt": "Why?", "reasoning_effort": effort}, ServedModel(name=served))

    def test_the_newest_name_of_the_bound_wins(self) -> None:
        fields = {"max_tokens": 1, "max_completion_tokens": 2, "max_output_tokens": 3}
        assert config_of(fields) == {"maxOutputTokens": 3}
        assert config_of({"max_tokens": 1}) == {"maxOutputTokens": 1}

    @pytest.mark.parametrize(
        "fields",
        [
            {"user": "u", "store": True, "prompt_cache_key": "k", "safety_identifier": "s"},
            {"temperature": None, "logit_bias": {}, "n": 1, "stop": []},
            {"verbosity": "medium", "service_tier": "auto", "modalities": ["text"]},
            {"metadata": {"a": "b"}, "tenant": "t", "response_format": {"type": "text"}},
            {"tool_choice": "none", "top_logprobs": 0, "prediction": {"type": "content"}},
        ],
    )
    def test_what_changes_nothing_is_left_out(self, fields: dict[str, Any]) -> None:
        assert set(body_of({"prompt": "Why?", **fields})) == {"contents"}

    @pytest.mark.parametrize(
        "fields",
        [
            {"logit_bias": {"5": 1}},
            {"verbosity": "low"},
            {"repetition_penalty": 1.1},
            {"modalities": ["text", "audio"]},
            {"audio": {"voice": "alloy"}},
            {"functions": [{"name": "f"}]},
            {"n": 9},
            {"n": 2, "stream": True},
            {"stop": ["a"] * 6},
            {"stop": [1]},
            {"top_logprobs": 21},
            {"response_format": {"type": "grammar"}},
            {"response_format": "json"},
            {"service_tier": ["flex"]},
        ],
    )
    def test_what_cannot_be_said_is_named(self, fields: dict[str, Any]) -> None:
        with pytest.raises(CannotExpressError) as caught:
            asked({"prompt": "Why?", **fields})
        assert next(iter(fields)) in caught.value.message or "Gemini" in caught.value.message

    def test_no_field_of_openais_is_passed_on_unseen(self) -> None:
        """Each of them is known, or refused by name: Vertex would refuse the whole call."""
        names = {
            *completion_create_params.CompletionCreateParamsBase.__annotations__,
        } - {"messages", "model", "stream"}
        assert len(names) > 25
        for name in names - HARMLESS - BROKERS:
            try:
                body = body_of({"prompt": "Why?", name: {"un": "likely"}})
            except CannotExpressError:
                continue
            assert set(body) <= {"contents", "generationConfig"}, name
            assert name not in body.get("generationConfig", {}) or name in {"temperature", "seed"}

    def test_a_seed_of_64_bits(self) -> None:
        seeds = [config_of({"seed": seed})["seed"] for seed in (7, -(2**31), 2**40 + 5, -(2**40))]
        assert seeds == [7, -(2**31), 5, 0]

    def test_only_the_simulator_is_told_how_long_to_answer(self) -> None:
        fields = {"prompt": "Why?", "simulated_output_tokens": 9}
        assert body_of(fields)["simulated_output_tokens"] == 9
        real = ProviderSettings(dialect="gemini", base_url="https://aiplatform.googleapis.com")
        request = Gemini(real).request(work(fields=fields), ServedModel(name="gemini-3-flash"))
        assert b"simulated" not in request.body

    def test_a_setting_that_says_what_a_model_lacks(self) -> None:
        served = ServedModel(name="gemini-3-flash", lacks=frozenset({"n", "tools"}))
        for fields in ({"n": 2}, {"tools": [TOOL]}):
            with pytest.raises(CannotExpressError, match="settings"):
                asked({"prompt": "Why?", **fields}, served)

    def test_pictures_beside_text(self) -> None:
        config = config_of({"modalities": ["text", "image"]})
        assert config == {"responseModalities": ["TEXT", "IMAGE"]}

    def test_the_responses_form(self) -> None:
        body = body_of(
            {
                "input": "Why?",
                "instructions": "Be brief.",
                "reasoning": {"effort": "low"},
                "max_output_tokens": 5,
            }
        )
        assert body == {
            "contents": [{"role": "user", "parts": [{"text": "Why?"}]}],
            "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]},
            "generationConfig": {
                "thinkingConfig": {"thinkingLevel": "LOW"},
                "maxOutputTokens": 5,
            },
        }
