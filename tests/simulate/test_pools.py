"""Several workers of one provider in a replay: more calls at once, and the same quota."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from broker.records.errors import UsageError
from broker.simulate.figures import figures_of
from broker.simulate.models import simulated_clouds
from broker.simulate.outages import with_outages
from broker.simulate.outcome import PENDING, Outcome
from broker.simulate.policies import read_policies
from broker.simulate.replay import Delays, Replay
from tests.simulate.made import asked, asked_often, settings_of


def one_cloud(**more: Any) -> Mapping[str, Any]:
    """A cloud with many places, whose workers make four calls at once each."""
    served = {"dialect": "azure", "models": {"chat-small": "gpt-5-mini"}}
    cloud = {"slots": 40, "queue": 4, "first_token_s": 0.4, "per_token_s": 0.01}
    return {
        "providers": {"azure": {**served, "max_in_flight": 4, "adaptive": False, **more}},
        "simulator": {"clouds": {"azure": cloud}},
    }


def replayed_by(workers: int, given: Mapping[str, Any], prompts: Any) -> Outcome:
    settings = settings_of(**given)
    clouds, delays = simulated_clouds(settings), Delays()
    sizes = {"azure": workers}
    return Replay(settings, prompts, clouds, delays=delays, seed=1, workers=sizes).run()


def test_each_worker_makes_as_many_calls_as_the_settings_say() -> None:
    prompts = [asked(number, 0.0) for number in range(240)]
    took = [max(replayed_by(workers, one_cloud(), prompts).ended) for workers in (1, 2, 3)]
    assert took[0] / 2.3 < took[1] < took[0] / 1.7
    assert took[0] / 3.5 < took[2] < took[0] / 2.4


def test_a_quota_is_shared_by_the_workers_and_not_had_by_each() -> None:
    given = one_cloud(requests_per_minute=60)
    prompts = [asked(number, 0.0, tokens_out=5) for number in range(180)]
    one, three = (max(replayed_by(workers, given, prompts).ended) for workers in (1, 3))
    assert one > 150.0
    assert 0.95 * one < three < 1.25 * one


@pytest.mark.parametrize("workers", [2, 5, 20])
def test_every_prompt_ends_once_however_many_workers_share_the_partitions(workers: int) -> None:
    settings = with_outages(settings_of(), ["azure:10-25"])
    prompts = asked_often(300)
    sizes = {"azure": workers, "google": 2}
    outcomes = [
        Replay(
            settings, prompts, simulated_clouds(settings), delays=Delays(), seed=1, workers=sizes
        ).run()
        for _ in range(2)
    ]
    assert PENDING not in outcomes[0].status
    assert figures_of(outcomes[0]).moves > 0
    assert figures_of(outcomes[0]) == figures_of(outcomes[1])


def policy(tmp_path: Path, workers: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(f"[simulate]\nproviders = ['google', 'azure']\nworkers = {workers}\n")
    return path


def test_a_policy_says_how_many_workers_there_are(tmp_path: Path) -> None:
    (all_alike,) = read_policies(None, [policy(tmp_path, "3")])
    assert all_alike.workers == {"google": 3, "azure": 3}
    (one_told,) = read_policies(None, [policy(tmp_path, "{azure = 2}")])
    assert one_told.workers == {"azure": 2}


@pytest.mark.parametrize("workers", ["0", "101", "true", "'two'", "{openai = 2}", "{azure = 0}"])
def test_another_number_of_workers_is_told_with_its_file(tmp_path: Path, workers: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml .*workers"):
        read_policies(None, [policy(tmp_path, workers)])
