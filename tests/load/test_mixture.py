"""Other kinds among a replay's prompts: what is changed, and what must not be."""

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from broker.load.mixture import NOISY, Mixture, mixed
from broker.load.replay import plan_replay

PLAN = plan_replay(120)


@examples(max_examples=40)
@given(st.builds(Mixture, st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.none()))
def test_ids_times_tenants_and_heavy_ones_stay(mixture: Mixture) -> None:
    made = mixed(PLAN, mixture)
    assert len(made.plan) == len(PLAN)
    kinds = {"stream": 0, "embedding": 0, "image": 0}
    for one, before in zip(made.plan, PLAN, strict=True):
        assert (one.id, one.due_s, one.tenant) == (before.id, before.due_s, before.tenant)
        assert one.fields["tenant"] == before.tenant
        if before.joined > 1:
            assert one == before
        kind = one.fields.get("kind") or ("stream" if one.fields.get("stream") else None)
        if kind is not None:
            kinds[kind] += 1
    assert kinds == {
        "stream": made.streams,
        "embedding": made.embeddings,
        "image": made.pictures,
    }


def test_embeddings_carry_the_whole_text_in_order() -> None:
    same = mixed(PLAN, Mixture(burst_every=None)).plan
    for one, before in zip(same, PLAN, strict=True):
        if one.fields.get("kind") == "embedding":
            whole = "".join(one.fields["input"]).replace(" ", "")
            assert whole == before.fields["prompt"].replace(" ", "")
            assert 1 <= len(one.fields["input"]) <= 4


@examples(max_examples=20)
@given(st.integers(1, 150), st.integers(1, 40))
def test_a_burst_comes_at_one_moment_and_nothing_else_is_changed(prompts: int, every: int) -> None:
    plan = plan_replay(prompts)
    made = mixed(plan, Mixture(burst_every=every))
    before = {one.id: one for one in mixed(plan, Mixture(burst_every=None)).plan}
    assert {one.id for one in made.plan} == set(before)
    assert len(made.plan) == prompts
    assert [one.due_s for one in made.plan] == sorted(one.due_s for one in made.plan)
    loud = [one for one in made.plan if one.tenant == NOISY]
    assert len(loud) == made.burst
    assert len({one.due_s for one in loud}) <= 1
    for one in made.plan:
        if one.tenant != NOISY:
            assert one == before[one.id]
        else:
            assert one.joined == 1
            assert one.fields == {**before[one.id].fields, "tenant": NOISY}


def test_a_usual_replay_has_some_of_each() -> None:
    made = mixed(plan_replay(640))
    assert made.streams >= 100
    assert made.embeddings >= 30
    assert made.pictures >= 10
    assert made.burst >= 40
