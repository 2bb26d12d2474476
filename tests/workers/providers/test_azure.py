"""Azure's forms, key, filters, spillover and limits."""

from typing import Any

import orjson
import pytest

from broker.core.retries import Action, verdict
from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers.building import work
from tests.workers.local_provider import DONE, chunk, completion
from workers.providers.azure import Azure
from workers.providers.dialect import ErrorReply, LimitsSeen, Reply
from workers.providers.registry import adapter_for

ADAPTER = adapter_for(ProviderSettings(dialect="azure"))
FILTERED = {
    "hate": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": True, "severity": "medium"},
    "jailbreak": {"filtered": True, "detected": True},
}
BLOCKED = {
    "error": {
        "message": "The response was filtered.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": FILTERED,
        },
    }
}


def path_of(kind: str, **settings: Any) -> str:
    adapter = Azure(ProviderSettings(dialect="azure", **settings))
    served = ServedModel(name="gpt 4/x", api="responses" if kind == "responses" else None)
    asked = work(kind="chat" if kind == "responses" else kind)
    return adapter.request(asked, served).path


def error_of(body: Any, status: int = 400, **headers: str) -> ErrorReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ADAPTER.error(Reply(status, named, orjson.dumps(body)))


class TestRequests:
    @pytest.mark.parametrize(
        ("kind", "v1", "by_deployment"),
        [
            ("chat", "/openai/v1/chat/completions", "/chat/completions"),
            ("embedding", "/openai/v1/embeddings", "/embeddings"),
            ("image", "/openai/v1/images/generations", "/images/generations"),
        ],
    )
    def test_both_forms_of_paths(self, kind: str, v1: str, by_deployment: str) -> None:
        assert path_of(kind) == v1
        older = f"/openai/deployments/gpt%204%2Fx{by_deployment}?api-version=2024-10-21"
        assert path_of(kind, api_version="2024-10-21") == older

    def test_responses_are_of_no_deployment_in_the_path(self) -> None:
        assert path_of("responses") == "/openai/v1/responses"
        assert path_of("responses", api_version="v") == "/openai/responses?api-version=v"

    @pytest.mark.parametrize("end", ["/openai/v1", "/openai/v1/"])
    def test_a_base_url_that_was_copied_whole_is_not_doubled(self, end: str) -> None:
        assert path_of("chat", base_url=f"https://x.openai.azure.com{end}") == "/chat/completions"
        assert path_of("chat", base_url="https://x.openai.azure.com/") == (
            "/openai/v1/chat/completions"
        )

    def test_a_key_has_a_header_of_its_own_and_the_simulator_no_path(self) -> None:
        assert ADAPTER.key_header("k") == ("api-key", "k")
        assert ADAPTER.root == ""

    def test_a_project_of_another_provider_is_not_sent(self) -> None:
        adapter = Azure(ProviderSettings(dialect="azure", project="p"))
        assert "OpenAI-Project" not in adapter.request(work(), ServedModel(name="m")).headers


class TestFilters:
    def test_a_blocked_prompt_says_by_what(self) -> None:
        got = error_of(BLOCKED)
        assert (got.code, got.status) == ("content_filter", 400)
        expected = "The response was filtered. Filtered: violence (medium), jailbreak."
        assert got.message == expected
        assert verdict(got.status, got.code, table=ADAPTER.retries).action is Action.REFUSED

    def test_its_inner_code_alone_says_it_too(self) -> None:
        error = {**BLOCKED["error"], "code": "invalid_request"}
        assert error_of({"error": error}).code == "content_filter"

    @pytest.mark.parametrize(
        "error",
        [
            {"code": "contentFilter", "message": "m"},
            {"code": "x", "message": "m", "inner_error": {"code": "ResponsibleAIPolicyViolation"}},
        ],
    )
    def test_a_blocked_prompt_of_a_picture_has_other_words(self, error: dict[str, Any]) -> None:
        assert error_of({"error": error}).code == "content_filter"
        assert error_of({"error": error}, 500).code != "content_filter"

    @pytest.mark.parametrize("inner", [None, 7, [], {}, {"content_filter_result": [1]}])
    def test_without_details_it_is_still_the_filter(self, inner: Any) -> None:
        got = error_of({"error": {**BLOCKED["error"], "innererror": inner}})
        assert (got.code, got.message) == ("content_filter", "The response was filtered.")

    def test_a_blocked_answer_is_another_refusal(self) -> None:
        choice = {"index": 0, "message": {"content": "Well, "}, "finish_reason": "content_filter"}
        body = completion(choices=[{**choice, "content_filter_results": FILTERED}])
        got = ADAPTER.answer(work(), Reply(200, {}, orjson.dumps(body)))
        assert (got.refusal, got.finish_reason) == ("answer_filtered", "content_filter")

    def test_a_stream_begins_with_what_the_filter_says_of_the_prompt(self) -> None:
        said = [{"prompt_index": 0, "content_filter_results": FILTERED}]
        assembler = ADAPTER.assembler(work())
        assert not assembler.feed(chunk(choices=[], id="", model="", prompt_filter_results=said))
        assert not assembler.begun
        judged = {"index": 0, "content_filter_offsets": {"check_offset": 3}, "finish_reason": None}
        assembler.feed(chunk("x") + chunk(choices=[judged]) + chunk(finish="stop") + DONE)
        got = assembler.answer()
        assert (got.text, got.body["prompt_filter_results"]) == ("x", said)


class TestErrorsAndHeaders:
    @pytest.mark.parametrize(
        ("status", "body", "code", "action"),
        [
            (404, {"error": {"code": "DeploymentNotFound", "message": "m"}}, None, Action.MOVE),
            (429, {"error": {"code": "429", "message": "m"}}, None, Action.RETRY),
            (429, {"error": {"code": "NoCapacity", "message": "m"}}, "NoCapacity", Action.RETRY),
            (401, {"error": {"code": "401", "message": "m"}}, None, Action.MOVE),
            (401, {"statusCode": 401, "message": "m"}, None, Action.MOVE),
            (403, {"error": {"code": "insufficient_quota"}}, "insufficient_quota", Action.MOVE),
            (400, {"error": {"code": "OperationNotSupported"}}, None, Action.MOVE),
            (400, {"error": {"code": "BadRequest", "message": "m"}}, "BadRequest", Action.FAILED),
        ],
    )
    def test_its_errors_lead_where_they_should(
        self, status: int, body: Any, code: str | None, action: Action
    ) -> None:
        got = error_of(body, status)
        assert verdict(status, got.code, table=ADAPTER.retries).action is action
        if code is not None:
            assert got.code == code

    def test_used_up_capacity_says_when_to_come_again(self) -> None:
        got = error_of({}, 429, retry_after_ms="1500", retry_after="2")
        assert got.retry_after_s == 1.5

    def test_limits_of_its_renewal_period_are_told_for_a_minute(self) -> None:
        headers = {
            "x-ratelimit-limit-requests": "50",
            "x-ratelimit-remaining-requests": "45",
            "x-ratelimit-reset-requests": "3",
            "x-ratelimit-renewalperiod-requests": "10",
            "x-ratelimit-remaining-tokens": "46760",
        }
        assert ADAPTER.limits(headers) == LimitsSeen(300, 45, 3.0, tokens_left=46760)
        assert ADAPTER.limits({}) is None

    def test_who_answered_is_noted(self) -> None:
        headers = {"x-ms-deployment-name": "s", "x-ms-spillover-from-deployment": "ptu"}
        assert ADAPTER.notes(headers) == {"deployment": "s", "spillover_from": "ptu"}
        assert ADAPTER.notes({"x-ms-region": "x"}) == {}
