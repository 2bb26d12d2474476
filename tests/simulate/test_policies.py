"""Policies from files, and outages: what they change, and what is wrong in them."""

from pathlib import Path

import pytest

from broker.records.errors import UsageError
from broker.simulate.outages import with_outages
from broker.simulate.policies import AS_THEY_ARE, read_policies
from tests.simulate.made import settings_of

SHIPPED = Path(__file__).parents[2] / "docs" / "policies"
CLOUDS = SHIPPED / "clouds.toml"


def policy(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_without_a_file_the_settings_are_the_only_policy() -> None:
    (one,) = read_policies(CLOUDS, ())
    assert one.name == AS_THEY_ARE
    assert list(one.settings.providers) == ["openai", "azure", "google", "coreweave"]


def test_a_policy_lies_over_the_settings_and_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    text = "[simulate]\nproviders = ['google', 'azure']\n[simulator.clouds.google]\nslots = 7\n"
    (one,) = read_policies(CLOUDS, [policy(tmp_path, text)])
    assert one.name == "mine"
    assert list(one.settings.providers) == ["google", "azure"]
    cloud = one.settings.simulator.clouds["google"]
    assert (cloud.slots, cloud.queue) == (7, 12)


def test_every_shipped_policy_can_be_read() -> None:
    files = sorted(path for path in SHIPPED.glob("*.toml") if path != CLOUDS)
    found = {one.name: one.settings.routing.policy for one in read_policies(CLOUDS, files)}
    assert found == {
        "cheapest": "cheapest",
        "fastest": "fastest",
        "one-cloud": "overflow",
        "one-cloud-60": "overflow",
        "overflow": "overflow",
        "round-robin": "weighted",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[routing\n", "is not TOML"),
        ("[routing]\npolicy = 'best'\n", "does not fit the settings"),
        ("[simulate]\nproviders = ['nobody']\n", "names no provider of the settings: nobody"),
        ("[simulate]\nspeed = 3\n", "another key in [simulate]"),
    ],
)
def test_a_wrong_policy_is_named_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml") as caught:
        read_policies(CLOUDS, [policy(tmp_path, text)])
    assert told in str(caught.value)


def test_two_policies_of_one_name_are_not_told_apart() -> None:
    with pytest.raises(UsageError, match="Two policies are named fastest"):
        read_policies(CLOUDS, [SHIPPED / "fastest.toml", SHIPPED / "fastest.toml"])


def test_outages_are_added_to_those_that_are_there() -> None:
    settings = with_outages(settings_of(), ["azure:10-20", "azure:30.5-40", "elsewhere:1-2"])
    outages = settings.simulator.clouds["azure"].faults.outages
    assert [(one.from_s, one.to_s) for one in outages] == [(10.0, 20.0), (30.5, 40.0)]
    assert not settings.simulator.clouds["google"].faults.outages


@pytest.mark.parametrize("text", ["azure", "azure:9-3", "azure:a-b", ":1-2", "azure:1-1"])
def test_an_outage_in_another_form_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="azure:600-900"):
        with_outages(settings_of(), [text])
