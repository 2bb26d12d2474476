"""Every bad input ends as one completion that a person understands, and stops nothing."""

from dataclasses import dataclass

import pytest
from confluent_kafka import KafkaError

from broker.classifier.header_names import EXACT_NAMES
from broker.records.headers import ORIGIN
from tests.system.bad_inputs import BAD, NEAR_LIMIT, Bad
from tests.system.conversation import Conversation, Found, Place

TURNS = 3
"""Each bad input is written to so many partitions."""


@dataclass(frozen=True, slots=True)
class Sent:
    bad: Bad
    place: Place

    @property
    def id(self) -> str:
        return self.bad.id or self.place.id


@dataclass(frozen=True, slots=True)
class Ended:
    """All that came of all bad inputs, which were written before anything was waited for."""

    sent: dict[str, Sent]
    good: list[str]
    completions: dict[str, Found]
    letters: dict[str, Found]


@pytest.fixture(scope="module")
def ended(talk: Conversation) -> Ended:
    sent: dict[str, Sent] = {}
    good: list[str] = []

    def good_one(name: str) -> None:
        good.append(f"good-{name}")
        talk.ask(id=good[-1], prompt="Why is the sky blue?", max_output_tokens=8)

    for number, bad in enumerate(BAD):
        good_one(f"before-{number}")
        partition = number % talk.settings.topics.prompts if bad.id is None else talk.home(bad.id)
        sent[bad.name] = Sent(bad, talk.write(bad.value, partition, bad.key, bad.headers))
    for number in range(4 * talk.settings.topics.prompts):
        good_one(f"after-{number}")
    completions = talk.completions([*good, *(one.id for one in sent.values())])
    return Ended(sent, good, completions, talk.dead_letters())


@pytest.mark.parametrize("name", [bad.name for bad in BAD])
def test_it_ends_as_one_failed_completion_with_its_code_and_a_sentence(
    ended: Ended, name: str
) -> None:
    sent = ended.sent[name]
    found = ended.completions[sent.id]
    error = found.body["error"]
    assert found.key == sent.id.encode()
    assert found.body["status"] == "failed"
    assert found.header("status") == b"failed"
    assert (error["type"], error["code"]) == ("invalid_request", sent.bad.code)
    assert sent.bad.says in error["message"]
    assert error["message"].endswith(".")
    assert found.body["calls"] == 0
    assert found.body["route"] == []
    assert found.body["text"] is None


@pytest.mark.parametrize("name", [bad.name for bad in BAD])
def test_its_dead_letter_has_the_original_key_bytes_and_headers(ended: Ended, name: str) -> None:
    sent = ended.sent[name]
    letter = ended.letters[sent.place.id]
    assert letter.key == sent.bad.key
    assert letter.value == sent.bad.value
    count = len(sent.bad.headers)
    assert letter.headers[len(letter.headers) - count :] == sent.bad.headers
    assert letter.header("dlt-error") == sent.bad.code.encode()
    assert letter.header("dlt-stage") == b"classifier"
    message = ended.completions[sent.id].body["error"]["message"]
    assert letter.header("dlt-message") == message.encode()


def test_good_prompts_around_them_are_answered_and_no_partition_is_stuck(ended: Ended) -> None:
    statuses = {ended.completions[identity].body["status"] for identity in ended.good}
    assert statuses == {"succeeded"}


def test_there_is_a_dead_letter_for_each_and_for_nothing_else(
    talk: Conversation, ended: Ended
) -> None:
    assert {one.place.id for one in ended.sent.values()} <= set(ended.letters)
    failed = [found for found in talk.read(talk.topics.completions)
              if found.body["status"] == "failed"]  # fmt: skip
    assert len(failed) == len(talk.dead_letters())


def test_a_header_name_that_is_not_utf8_is_said_and_kept(talk: Conversation) -> None:
    name = b"x-\xff\xfe-name"
    place = talk.write_with_header_name(name, b'{"id":"bad-name","prompt":"hi"}',
                                        talk.home("bad-name"))  # fmt: skip
    talk.ask(id="good-after-name", prompt="Why?", max_output_tokens=4)
    found = talk.completions(["bad-name", "good-after-name"])
    assert found["bad-name"].body["error"]["code"] == "invalid_header"
    assert "UTF-8" in found["bad-name"].body["error"]["message"]
    letter = talk.dead_letters()[place.id]
    assert letter.header(EXACT_NAMES) == name.hex().encode()
    assert letter.headers[-1][1] == b"of a strange name"
    assert found["good-after-name"].body["status"] == "succeeded"


def test_a_header_value_that_is_not_text_harms_nobody_who_does_not_read_it(
    talk: Conversation,
) -> None:
    given = (("x-own", b"\xff\xfe\x00"), ("correlation-id", b"\x80\x81"), ("empty", b""))
    talk.ask(given, id="good-bytes", prompt="Why?", max_output_tokens=4)
    found = talk.completion("good-bytes")
    assert found.body["status"] == "succeeded"
    assert found.header("correlation-id") == b"\x80\x81"
    (work,) = talk.work_of("good-bytes")
    assert work.header("x-own") == b"\xff\xfe\x00"


def test_a_value_over_the_brokers_limit_is_refused_to_its_producer(talk: Conversation) -> None:
    refused = talk.try_write(b"x" * (NEAR_LIMIT + 2_000), 0)
    assert isinstance(refused, KafkaError)
    assert refused.code() == KafkaError.MSG_SIZE_TOO_LARGE


@pytest.mark.parametrize("text", [b"Why? " * (NEAR_LIMIT // 5), b"\x01" * NEAR_LIMIT])
def test_a_text_near_the_brokers_limit_gets_one_completion_whatever_it_becomes(
    talk: Conversation, text: bytes
) -> None:
    """As JSON, a control character takes six bytes: such work must still fit its topic."""
    place = talk.write(text, 1)
    found = talk.completion(place.id)
    if found.body["status"] != "succeeded":
        assert found.body["error"]["code"] == "context_length_exceeded"
    assert found.body["lane"] == "heavy"


def test_a_prompt_with_an_id_at_the_limit_that_arrives_away_from_home_is_answered(
    talk: Conversation,
) -> None:
    away = (talk.home("bad-wide") + 1) % talk.settings.topics.prompts
    value = b'{"id":"bad-wide","prompt":"hi","x":"' + b"x" * (NEAR_LIMIT + 400) + b'"}'
    talk.write(value, away)
    error = talk.completion("bad-wide").body["error"]
    assert error["code"] == "too_large"


def test_a_deadline_that_is_past_ends_as_expired_uncalled_and_is_no_dead_letter(
    talk: Conversation,
) -> None:
    past = talk.ask(id="late-deadline", prompt="hi", deadline="2020-01-01T00:00:00Z")
    zero = talk.ask(id="late-timeout", prompt="hi", timeout_s=0)
    for found in talk.completions(["late-deadline", "late-timeout"]).values():
        assert found.body["status"] == "expired"
        assert found.header("status") == b"expired"
        assert found.body["error"]["code"] == "deadline_passed"
        assert found.body["calls"] == 0
    assert not {past.id, zero.id} & set(talk.dead_letters())
    calls = {found.key for found in talk.read(talk.topics.calls)}
    assert not {b"late-deadline", b"late-timeout"} & calls


def test_a_bad_record_with_an_id_away_from_home_is_answered_once_from_there(
    talk: Conversation,
) -> None:
    away = (talk.home("bad-away") + 1) % talk.settings.topics.prompts
    place = talk.write(b'{"id":"bad-away","prompt":7}', away, b"its key", (("x", b"y"),))
    assert talk.completion("bad-away").body["error"]["code"] == "invalid_prompt"
    letters = [one for one in talk.dead_letters().values() if one.key == b"its key"]
    assert [letter.header(ORIGIN) for letter in letters] == [place.id.encode()]
    assert letters[0].header("x") == b"y"
