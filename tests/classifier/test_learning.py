"""What a classifier makes of a journal's line, and what it says of an expectation."""

from typing import Any

import orjson
import pytest

from broker.classifier.learned_lengths import LearnedLengths
from broker.classifier.learning import Begun, Learning, read_call
from broker.classifier.rules import Rules, rules_of
from broker.classifier.weighing import PriorLengths, Weigher
from broker.core.lanes import LanePlan
from broker.core.output_length import Answered, OutputLengths
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import Shapes
from broker.records.calls import CallEvent, encode_call
from broker.records.errors import BadRecordError
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Prompt
from broker.settings import load_settings
from broker.telemetry.metrics import ClassifierMetrics

NOW = 1_795_000_000.0
NAMES = TopicNames("llm")
MODELS = {
    "chat-small": {"default": True},
    "pictures": {"kind": "image"},
    "vectors": {"kind": "embedding"},
}


@pytest.fixture(scope="module")
def rules() -> Rules:
    served = {"openai": {"models": dict.fromkeys(MODELS, "m")}}
    settings = load_settings(models=MODELS, providers=served)
    topics = [NAMES.prompts, NAMES.completions, NAMES.dead_letters, NAMES.work("openai")]
    return rules_of(settings, Shapes(dict.fromkeys(topics, 12), {}))


def prompt(rules: Rules, **fields: Any) -> Prompt:
    value = orjson.dumps({"id": "a", "tenant": "acme", "prompt": "Why?", **fields})
    made = parse_prompt(InputRecord(NAMES.prompts, 0, 1, NOW, b"a", value, ()), rules.catalog)
    assert isinstance(made, Prompt)
    return made


def call(event: str = "ended", **more: Any) -> bytes:
    given = {"outcome": "ok", "output_tokens": 90, "kind": "chat", "weighed_input_tokens": 12}
    fields = {"weight": 372, "lane": "light", **(given if event == "ended" else {}), **more}
    name: Any = event
    return encode_call(CallEvent("c", "acme", "openai", "chat-small", 1, name, NOW, **fields))


def test_a_successful_end_teaches_what_the_next_prompt_is_asked_by() -> None:
    assert read_call(call(), NOW) == Answered("acme", "chat-small", "chat", 12, 90, NOW)
    told = read_call(call(own_maximum=90, cut=True, answers=2), NOW)
    assert told == Answered(
        "acme", "chat-small", "chat", 12, 90, NOW, own_maximum=90, cut=True, answers=2
    )
    old = read_call(call(weighed_input_tokens=None, input_tokens=14), NOW)
    assert old == Answered("acme", "chat-small", "chat", 14, 90, NOW), "of an older worker"


def test_a_clock_that_is_ahead_does_not_make_all_else_old() -> None:
    assert read_call(call(), NOW - 100) == Answered("acme", "chat-small", "chat", 12, 90, NOW - 100)
    assert read_call(call("started"), NOW - 100) == Begun(372, "light", NOW - 100)


def test_the_first_start_of_a_prompt_tells_its_weight() -> None:
    assert read_call(call("started"), NOW) == Begun(372, "light", NOW)
    assert read_call(call("started", weight=None), NOW) is None


@pytest.mark.parametrize(
    "more",
    [
        {"outcome": "retry"},
        {"outcome": "move"},
        {"outcome": "stop"},
        {"kind": "image"},
        {"kind": "embedding"},
        {"output_tokens": None},
        {"output_tokens": -1},
        {"weighed_input_tokens": None},
    ],
)
def test_what_failed_or_tells_no_length_teaches_nothing(more: dict[str, Any]) -> None:
    assert read_call(call(**more), NOW) is None


@pytest.mark.parametrize("value", [b"", b"[]", b"7", b'{"event":"ended"}', b"{"])
def test_what_is_no_line_of_the_journal_is_said_to_be_none(value: bytes) -> None:
    with pytest.raises(BadRecordError):
        read_call(value, NOW)


def taught(count: int, tokens: int = 100, **more: Any) -> OutputLengths:
    made = OutputLengths(0.8, 3_600.0, 100)
    for _ in range(count):
        made.learn(Answered("acme", "chat-small", "chat", 10, tokens, NOW, **more))
    return made


def test_words_say_whose_answers_how_many_and_which_share(rules: Rules) -> None:
    known = LearnedLengths(taught(1_203), rules)
    tokens, words = known.expected(prompt(rules), 10, NOW)
    assert tokens == pytest.approx(100, rel=0.1)
    assert words == (
        f"80% of 1,203 answers to acme on chat-small for 10 to 11 tokens in are up to {tokens} "
        "tokens"
    )
    _, words = known.expected(prompt(rules, tenant="other"), 10, NOW)
    assert words.startswith("80% of 1,203 answers on chat-small for 10 to 11 tokens in are up to")
    _, words = known.expected(prompt(rules, tenant="other"), 3_000, NOW)
    assert words.startswith("80% of 1,203 answers on chat-small are up to")


def test_inputs_of_one_length_are_told_by_it(rules: Rules) -> None:
    made = OutputLengths(0.8, 3_600.0, 100)
    for _ in range(300):
        made.learn(Answered("acme", "chat-small", "chat", 5, 100, NOW))
    _, words = LearnedLengths(made, rules).expected(prompt(rules), 5, NOW)
    assert "for 5 tokens in" in words


def test_several_answers_take_as_many_times_the_tokens(rules: Rules) -> None:
    known = LearnedLengths(taught(200), rules)
    one, _ = known.expected(prompt(rules), 10, NOW)
    three, words = known.expected(prompt(rules, n=3), 10, NOW)
    assert three == 3 * one
    assert words.startswith("3 answers, of which 80% of 200 answers to acme")


def test_the_own_maximum_is_named_where_it_decides(rules: Rules) -> None:
    known = LearnedLengths(taught(200, own_maximum=100), rules)
    tokens, words = known.expected(prompt(rules, max_tokens=70), 10, NOW)
    assert tokens == 70
    assert words.endswith("are up to its own maximum of 70 tokens")


def test_where_nothing_is_known_it_is_the_prior(rules: Rules) -> None:
    known, prior = LearnedLengths(taught(0), rules), PriorLengths(rules)
    for fields in ({}, {"max_tokens": 40}, {"max_tokens": 40, "n": 2}, {"max_tokens": 90_000}):
        asked = prompt(rules, **fields)
        assert known.expected(asked, 10, NOW)[0] == prior.expected(asked, 10, NOW)[0]
    assert known.expected(prompt(rules), 10, NOW)[1] == "prior for its length"
    assert known.expected(prompt(rules, max_tokens=4), 10, NOW)[1] == "prior for its own maximum"


def test_pictures_and_embeddings_are_what_they_always_are(rules: Rules) -> None:
    known, prior = LearnedLengths(taught(500), rules), PriorLengths(rules)
    for fields in ({"model": "pictures"}, {"model": "vectors", "prompt": None, "input": "Why?"}):
        asked = prompt(rules, **{name: one for name, one in fields.items() if one is not None})
        assert known.expected(asked, 10, NOW)[0] == prior.expected(asked, 10, NOW)[0]


class Moved:
    def __init__(self, plan: LanePlan) -> None:
        self._plan = plan

    def plan(self, now: float) -> LanePlan:
        del now
        return self._plan


def test_thresholds_that_moved_decide_and_are_said(rules: Rules) -> None:
    moved = LanePlan(300, 600, rules.thresholds.partitions)

    def count(texts: Any) -> Any:
        del texts
        return 10, "counted"

    lengths = LearnedLengths(taught(200), rules)
    weighed = Weigher(rules, count, lengths, Moved(moved)).weigh(prompt(rules), NOW)
    assert weighed.lane == "medium"
    assert weighed.words.endswith("; light is up to 300, heavy from 600")
    assert Weigher(rules, count, lengths).weigh(prompt(rules), NOW).lane == "light"


def test_what_is_turned_off_reads_nothing_and_leaves_the_weigher_as_it_was(rules: Rules) -> None:
    settings = load_settings(kafka={"bootstrap": "127.0.0.1:9"}, lengths={"learn": False})
    learning = Learning(settings, rules, ClassifierMetrics())
    assert (learning.lengths, learning.thresholds) == (None, None)
    assert learning.wait_caught_up(0.0), "there is nothing to wait for"
    learning.before_slice()
    learning.close()
