"""One cloud against four, on the demonstration's own prompts."""

from importlib.resources import as_file, files
from typing import Final

import pytest
from rich.console import Console

from broker.demo.comparison import ALL, ONE, ONE_LARGE, Compared, comparison_table, one_against_all
from broker.load.mixture import mixed
from broker.load.replay import plan_replay
from broker.settings import load_settings

PROMPTS: Final = 150


@pytest.fixture(scope="module")
def compared() -> Compared:
    """At about the pace of the demonstration."""
    with as_file(files("broker.demo").joinpath("demo.toml")) as config:
        settings = load_settings(config)
    return one_against_all(settings, mixed(plan_replay(PROMPTS, 2.4, lanes=settings.lanes)).plan)


def test_every_prompt_is_replayed_to_each_and_none_is_left_out(compared: Compared) -> None:
    for figures in (*compared.usual.values(), *compared.down.values()):
        assert figures.prompts == PROMPTS
        assert sum(figures.statuses.values()) == PROMPTS


def test_one_cloud_is_asked_alone_and_all_clouds_are_used(compared: Compared) -> None:
    assert set(compared.usual[ONE].providers) == set(compared.usual[ONE_LARGE].providers)
    assert set(compared.usual[ONE].providers) == {compared.preferred}
    assert len(compared.usual[ALL].providers) > 1


def test_with_the_preferred_cloud_down_all_clouds_answer_sooner_than_one(
    compared: Compared,
) -> None:
    p95 = {name: figures.latency.p95 for name, figures in compared.down.items()}
    assert all(value is not None for value in p95.values())
    assert (p95[ALL] or 0.0) < (p95[ONE] or 0.0)


def test_the_table_has_a_line_for_each_and_says_who_was_down(compared: Compared) -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(comparison_table(compared))
    shown = captured.get()
    assert all(name in shown for name in (ONE, ONE_LARGE, ALL))
    assert f"{compared.preferred} down for" in shown
