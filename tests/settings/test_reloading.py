from pathlib import Path

import pytest

from broker.records.errors import UsageError
from broker.settings import Settings, load_settings
from broker.settings.reloading import Reloaded, Reloading


class Watched:
    """A settings file with what is told of it."""

    def __init__(self, folder: Path, text: str) -> None:
        self.file = folder / "weighbridge.toml"
        self.file.write_text(text, "utf-8")
        self.reloading = Reloading(load_settings(self.file))
        self.told: list[Settings] = []
        self.reloading.subscribe(self.told.append)

    def becomes(self, text: str) -> Reloaded:
        other = self.file.with_suffix(".new")
        other.write_text(text, "utf-8")
        other.replace(self.file)
        found = self.reloading.look()
        assert found is not None
        return found


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path, "[tenants.acme]\nrequests_per_minute = 10\n")


def limit(settings: Settings, tenant: str = "acme") -> float | None:
    limits = settings.tenant_terms().limits_of(tenant)
    return None if limits is None else limits.minute[0]


def test_a_file_that_did_not_change_is_not_read_again(watched: Watched) -> None:
    assert watched.reloading.look() is None
    assert watched.told == []


def test_a_new_limit_is_told_once(watched: Watched) -> None:
    found = watched.becomes("[tenants.acme]\nrequests_per_minute = 20\n")
    assert (found.outcome, found.changed) == ("taken", ("tenants",))
    assert [limit(one) for one in watched.told] == [20]
    assert watched.reloading.look() is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[tenants.acme]\nrequests_per_minite = 20\n", "tenants.acme.requests_per_minite"),
        ("[tenants.acme]\nrequests_per_minute = -1\n", "tenants.acme.requests_per_minute"),
        ("[tenants.acme]\ngroup = 'gold'\n", "tenants.acme.group"),
        ("[tenants.acme\n", "not TOML"),
    ],
)
def test_a_wrong_file_keeps_what_was_there_and_names_the_place(
    watched: Watched, text: str, place: str
) -> None:
    found = watched.becomes(text)
    assert found.outcome == "wrong"
    assert place in found.why
    assert watched.told == []
    assert limit(watched.reloading.settings) == 10
    assert watched.becomes("[tenants.acme]\nrequests_per_minute = 30\n").outcome == "taken"
    assert limit(watched.reloading.settings) == 30


def test_a_file_that_is_gone_keeps_what_was_there(watched: Watched) -> None:
    watched.file.unlink()
    found = watched.reloading.look()
    assert found is not None
    assert found.outcome == "wrong"
    assert limit(watched.reloading.settings) == 10


def test_sections_that_need_a_restart_are_named_and_do_not_change(watched: Watched) -> None:
    found = watched.becomes("[worker]\nmax_attempts = 3\n[tenants.acme]\nrequests_per_minute = 5\n")
    assert (found.changed, found.need_restart) == (("tenants",), ("worker",))
    assert watched.told[0].worker.max_attempts == 6
    same = watched.becomes("[worker]\nmax_attempts = 2\n[tenants.acme]\nrequests_per_minute = 5\n")
    assert (same.outcome, same.need_restart) == ("same", ("worker",))
    assert len(watched.told) == 1


def test_what_one_subscriber_cannot_use_nobody_keeps(watched: Watched) -> None:
    def refuse(settings: Settings) -> None:
        if limit(settings) == 20:
            raise UsageError("A price is not known.")

    watched.reloading.subscribe(refuse)
    found = watched.becomes("[tenants.acme]\nrequests_per_minute = 20\n")
    assert (found.outcome, found.why) == ("wrong", "A price is not known.")
    assert [limit(one) for one in watched.told] == [20, 10]
    assert limit(watched.reloading.settings) == 10


def test_without_a_file_there_is_nothing_to_watch() -> None:
    assert Reloading(load_settings()).look() is None
