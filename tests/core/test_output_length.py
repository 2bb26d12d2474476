"""What is expected of an answer's length: by whom it was learned, how it fades, what bounds it."""

import random
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.alike import groups_of, inputs_like
from broker.core.length_counts import BUCKETS, GROUPS, Counts, bucket_of, place_of, tokens_at
from broker.core.output_length import Answered, Expectation, OutputLengths

T0 = 1_795_000_000.0
HALF_LIFE_S = 3_600.0
PRIOR = 180


def lengths(most: int = 1_000, quantile: float = 0.8) -> OutputLengths:
    return OutputLengths(quantile, HALF_LIFE_S, most)


def teach(
    known: OutputLengths,
    outputs: Iterable[int],
    tenant: str = "acme",
    at: float = T0,
    **more: object,
) -> None:
    given_: dict[str, object] = {"input_tokens": 300, **more}
    for output in outputs:
        known.learn(
            Answered(tenant, "chat-small", "chat", output_tokens=output, at=at, **given_)  # type: ignore[arg-type]  # as given
        )


def ask(
    known: OutputLengths,
    tenant: str = "acme",
    *,
    model: str = "chat-small",
    input_tokens: int = 300,
    own: int | None = None,
    now: float = T0,
) -> Expectation:
    return known.expected((tenant, model, "chat"), input_tokens, own, own or PRIOR, now)


def test_nothing_known_is_the_prior() -> None:
    assert ask(lengths()) == Expectation(PRIOR, "prior", 0)
    assert ask(lengths(), own=50).tokens == 50


def test_of_many_answers_it_is_the_quantile() -> None:
    rng = random.Random(3)
    known = lengths()
    outputs = [round(rng.lognormvariate(5, 0.7)) + 1 for _ in range(3_000)]
    teach(known, outputs)
    found = ask(known)
    real = sorted(outputs)[int(0.8 * len(outputs))]
    assert found.tokens == pytest.approx(real, rel=0.06)
    assert found.level == "tenant_like"
    assert found.answers == pytest.approx(3_000, rel=0.01)


def test_a_new_tenant_has_its_models_and_soon_its_own() -> None:
    known = lengths()
    teach(known, [400] * 500, tenant="others")
    first = ask(known, "new")
    assert first.level in {"model_like", "model"}
    assert first.tokens == pytest.approx(400, rel=0.2)
    teach(known, [20] * 12, tenant="new")
    later = ask(known, "new")
    assert later.level == "tenant_like"
    assert later.tokens == pytest.approx(20, rel=0.2)
    assert ask(known, "others").tokens == pytest.approx(400, rel=0.2), "and theirs stays theirs"


def test_another_model_or_kind_is_another_matter() -> None:
    known = lengths()
    teach(known, [400] * 50)
    assert ask(known, model="chat-large").level == "prior"
    other = known.expected(("acme", "chat-small", "image"), 300, None, PRIOR, T0)
    assert other.level == "prior"


def test_questions_of_one_length_do_not_speak_for_those_of_another() -> None:
    known = lengths()
    teach(known, [30] * 60, input_tokens=5_000)
    teach(known, [500] * 60, input_tokens=50)
    assert ask(known, input_tokens=5_000).tokens < 40
    assert ask(known, input_tokens=50).tokens > 400
    between = ask(known, input_tokens=700)
    assert between.level == "tenant"


def test_the_requests_own_maximum_is_the_most_and_a_class_of_its_own() -> None:
    known = lengths()
    teach(known, [500] * 100)
    teach(known, [10] * 100, own_maximum=2_000)
    assert ask(known, own=100) == Expectation(100, "prior", 0), "no such answer was seen"
    assert ask(known, own=2_000).tokens < 13
    teach(known, [90] * 50, own_maximum=100)
    assert ask(known, own=70).tokens == 70
    assert ask(known).tokens > 400


def test_answers_that_were_cut_count_as_longer_than_they_are() -> None:
    plain, cut = lengths(), lengths()
    real = [100] * 70 + [1_000] * 30
    for known in (plain, cut):
        teach(known, real)
    # Of three hundred more nothing is known but that they are over 200.
    teach(plain, [200] * 300)
    teach(cut, [200] * 300, cut=True)
    assert ask(plain).tokens < 260
    assert ask(cut).tokens == pytest.approx(1_000, rel=0.2), "as the longer ones that are known"


def test_where_all_were_cut_twice_their_length_is_expected() -> None:
    known = lengths()
    teach(known, [100] * 200, cut=True)
    assert 150 <= ask(known).tokens <= 250


def test_several_answers_of_a_call_are_each_as_long() -> None:
    known = lengths()
    teach(known, [900] * 50, answers=3)
    assert ask(known).tokens == pytest.approx(300, rel=0.2)


def test_the_old_fades_and_the_new_counts() -> None:
    known = lengths()
    teach(known, [1_000] * 1_000)
    later = T0 + 8 * HALF_LIFE_S
    teach(known, [50] * 50, at=later)
    assert ask(known, now=later).tokens < 70
    assert ask(known, now=later + 60 * HALF_LIFE_S).level == "prior", "and all of it in the end"


def test_events_out_of_order_come_to_the_same() -> None:
    rng = random.Random(4)
    seen = [(rng.randrange(1, 3_000), T0 + rng.random() * 30 * HALF_LIFE_S) for _ in range(800)]
    found = []
    for order in (seen, sorted(seen, key=lambda one: one[1])):
        known = lengths()
        for output, at in order:
            teach(known, [output], at=at)
        found.append(ask(known, now=T0 + 30 * HALF_LIFE_S).tokens)
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_the_least_used_tenants_fall_back_to_their_model() -> None:
    known = lengths(most=10)
    teach(known, [700] * 200, tenant="loud")
    for number in range(15):
        teach(known, [20], tenant=f"t{number}")
        ask(known, "loud")
    assert known.tenants == 10
    assert ask(known, "loud").level == "tenant_like", "asked for, so not forgotten"
    assert ask(known, "t0").level in {"model_like", "model"}


def test_tenants_of_many_different_questions_cannot_take_more_than_their_room() -> None:
    rng = random.Random(5)
    known = lengths(most=20)
    for number in range(30_000):
        size = round(2 ** rng.uniform(0, 17))
        teach(known, [round(2 ** rng.uniform(0, 12))], tenant=f"t{number % 20}", input_tokens=size)
    held = sum(counts.entries for counts in known._tenants.values())  # noqa: SLF001 - the bound itself
    assert held <= 20 * 192
    assert known.tenants <= 20


def test_a_hundred_thousand_tenants_take_less_than_300_mb() -> None:
    """Measured on a hundredth: each has twenty answers to questions of eight lengths."""
    rng = random.Random(6)
    inputs = (40, 90, 200, 400, 900, 1_300, 3_000, 6_000)
    known = lengths(most=100_000)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(1_000 * 20):
        known.learn(
            Answered(
                f"tenant-{number % 1_000:06d}",
                "chat-small",
                "chat",
                inputs[number % 8],
                round(rng.lognormvariate(5, 0.7)),
                T0 + number,
            )
        )
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) * 100 < 200e6


@given(st.integers(0, 1 << 21), st.one_of(st.none(), st.integers(1, 1 << 21)))
def test_every_question_has_its_groups(input_tokens: int, own: int | None) -> None:
    like, whatever = groups_of(input_tokens, own)
    assert 0 <= like < whatever < GROUPS
    least, most = inputs_like(input_tokens)
    assert groups_of(least, own)[0] == like
    if input_tokens < 200_000:
        assert least <= input_tokens <= most
        assert groups_of(most, own)[0] == like
        assert groups_of(most + 1, own)[0] == like + 1 or most + 1 == least + 1


@given(st.integers(1, 1 << 16))
def test_a_length_is_found_again_in_its_bucket(tokens: int) -> None:
    bucket = bucket_of(tokens)
    assert 0 <= bucket < BUCKETS
    if tokens < 1 << 16:
        assert tokens_at(bucket, 0.0) <= tokens <= tokens_at(bucket, 1.0)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=BUCKETS).filter(lambda one: sum(one) > 0.01),
    st.floats(0.001, 0.999),
)
def test_so_much_lies_above_the_place_that_is_found(masses: list[float], share: float) -> None:
    over = sum(masses) * share
    bucket, below = place_of(masses, over)
    assert sum(masses[bucket + 1 :]) + masses[bucket] * (1 - below) == pytest.approx(over)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, BUCKETS - 1), st.floats(0, 1e6)),
        min_size=1,
        max_size=120,
    )
)
def test_joined_entries_keep_the_mass_of_their_group_where_it_has_more_than_one(
    added: list[tuple[int, int, float]],
) -> None:
    whole, joined = Counts(T0), Counts(T0)
    for group, bucket, after in added:
        for counts, most in ((whole, 10_000), (joined, 12)):
            counts.add((group,), bucket, T0 + after, HALF_LIFE_S, most)
    assert joined.entries <= 12
    for group in range(6):
        assert joined.of(group)[2] <= whole.of(group)[2] * 1.001


def test_answers_that_use_their_whole_maximum_are_expected_to_again() -> None:
    known = lengths()
    teach(known, [2_000] * 100, own_maximum=2_000)
    assert ask(known, own=2_000).tokens == 2_000
