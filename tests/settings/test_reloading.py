from pathlib import Path

import pytest

from broker.records.errors import NotReadyError, UsageError
from broker.settings import Settings, load_settings, reloading
from broker.settings.reloading import AGAIN, Reloaded, Reloading


class Watched:
    """A settings file with what is told of it."""

    def __init__(self, folder: Path, text: str) -> None:
        self.file = folder / "weighbridge.toml"
        self.file.write_text(text, "utf-8")
        self.reloading = Reloading(load_settings(self.file))
        self.told: list[Settings] = []
        self.reloading.subscribe(self.told.append)

    def write(self, text: str) -> None:
        other = self.file.with_suffix(".new")
        other.write_text(text, "utf-8")
        other.replace(self.file)

    def becomes(self, text: str) -> Reloaded:
        self.write(text)
        assert self.reloading.look() is None, "it has to rest first"
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
    assert watched.reloading.look() is None, "it may be put back at once"
    found = watched.reloading.look()
    assert found is not None
    assert found.outcome == "wrong"
    assert limit(watched.reloading.settings) == 10
    assert watched.becomes("[tenants.acme]\nrequests_per_minute = 30\n").outcome == "taken"


def test_what_is_there_between_two_looks_only_is_never_read(watched: Watched) -> None:
    assert watched.reloading.look() is None
    for text in ("", "[tenants.acme]\n", "[tenants.acme]\nrequests_per_min"):
        watched.write(text)
        assert watched.reloading.look() is None
    found = watched.becomes("[tenants.acme]\nrequests_per_minute = 30\n")
    assert found.outcome == "taken"
    assert [limit(one) for one in watched.told] == [30]


def test_a_file_that_is_written_while_it_is_read_is_read_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(file: Path) -> Settings:
        settings = load_settings(file)
        monkeypatch.undo()
        watched.write("[tenants.acme]\nrequests_per_minute = 30\n")
        return settings

    watched.write("[tenants.acme]\nrequests_per_minute = 20\n")
    monkeypatch.setattr(reloading, "load_settings", read)
    found = [watched.reloading.look() for _ in range(4)]
    assert [one.outcome for one in found if one is not None] == ["taken"]
    assert [limit(one) for one in watched.told] == [30]


def test_an_empty_file_takes_nothing_away_and_a_comment_does(watched: Watched) -> None:
    found = watched.becomes("")
    assert found.outcome == "wrong"
    assert "is empty. Leave a comment in it" in found.why
    assert limit(watched.reloading.settings) == 10
    assert watched.becomes("# nobody has a limit\n").outcome == "taken"
    assert limit(watched.reloading.settings) is None
    assert watched.becomes("").outcome == "same", "there is nothing to take away"


def test_what_changed_between_the_start_and_the_first_look_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "weighbridge.toml"
    file.write_text("[tenants.acme]\nrequests_per_minute = 10\n", "utf-8")
    settings = load_settings(file)
    file.write_text("[tenants.acme]\nrequests_per_minute = 20\n", "utf-8")
    watching = Reloading(settings)
    found = watching.look()
    assert found == Reloaded("taken", ("tenants",))
    assert limit(watching.settings) == 20


def test_what_needs_a_restart_is_named_without_values_and_does_not_change(
    watched: Watched,
) -> None:
    limits = "[tenants.acme]\nrequests_per_minute = 5\n"
    assert watched.reloading.look() is None
    found = watched.becomes(
        f"{limits}[worker]\nmax_attempts = 3\n[topics]\nwork = 24\n[kafka]\nbootstrap = 'b:1'\n"
        "[kafka.client]\n'sasl.password' = 'hush'\n[lengths]\nquantile = 0.9\nhalf_life_s = 60\n"
    )
    assert found.outcome == "taken"
    assert found.changed == ("lengths", "tenants")
    assert set(found.need_restart) == {
        "kafka.bootstrap",
        "kafka.client.sasl.password",
        "topics.work",
        "worker.max_attempts",
        "lengths.half_life_s",
    }
    (told,) = watched.told
    assert (told.worker.max_attempts, told.lengths.half_life_s) == (6, 6 * 3_600)
    assert told.lengths.quantile == 0.9
    same = watched.becomes(f"{limits}[worker]\nmax_attempts = 2\n[lengths]\nquantile = 0.9\n")
    assert (same.outcome, same.need_restart) == ("same", ("worker.max_attempts",))
    assert len(watched.told) == 1


def test_the_address_of_an_option_is_no_change_and_a_new_one_in_the_file_is(
    watched: Watched,
) -> None:
    reloading = Reloading(watched.reloading.settings.at("127.0.0.1:19092"))
    assert reloading.look() is None
    watched.write("[kafka]\nbootstrap = 'other:9092'\n[tenants.acme]\nrequests_per_minute = 10\n")
    assert reloading.look() is None
    assert reloading.look() == Reloaded("same", need_restart=("kafka.bootstrap",))


def test_a_provider_that_only_a_restart_makes_known_gets_no_prompts_before(
    watched: Watched,
) -> None:
    limits = "[tenants.acme]\nrequests_per_minute = 5\n"
    there = "[providers.new.models]\nchat-small = 'm'\n"
    found = watched.becomes(f"{limits}[routing]\npolicy = 'pinned'\npinned_to = 'new'\n{there}")
    assert found.outcome == "wrong"
    assert "names the provider 'new', which is not in [providers] as it started" in found.why
    assert "providers.new" in found.need_restart
    assert watched.told == []
    assert watched.reloading.settings.routing.policy == "overflow"


def test_lanes_are_taken(watched: Watched) -> None:
    limits = "[tenants.acme]\nrequests_per_minute = 10\n"
    found = watched.becomes(f"lanes = 'auto'\n{limits}")
    assert (found.outcome, found.changed) == ("taken", ("lanes",))
    found = watched.becomes(f"{limits}[lanes]\nlight_max = 9_000\n")
    assert found.outcome == "wrong"
    assert "heavy_min must be above" in found.why
    assert [one.lanes.mode for one in watched.told] == ["auto"]


def test_what_one_subscriber_cannot_use_nobody_keeps(watched: Watched) -> None:
    def refuse(settings: Settings) -> None:
        if limit(settings) == 20:
            raise UsageError("A price is not known.")

    watched.reloading.subscribe(refuse)
    found = watched.becomes("[tenants.acme]\nrequests_per_minute = 20\n")
    assert (found.outcome, found.why) == ("wrong", "A price is not known.")
    assert [limit(one) for one in watched.told] == [20, 10]
    assert limit(watched.reloading.settings) == 10


def test_what_could_not_be_taken_is_tried_again_and_what_is_wrong_is_not(
    watched: Watched,
) -> None:
    """As when the broker is away while a limit has to be read of it."""
    is_there = False

    def need(_settings: Settings) -> None:
        if not is_there:
            raise NotReadyError("The broker is away.")

    watched.reloading.subscribe(need)
    assert watched.becomes("[tenants.acme]\nrequests_per_minute = 20\n").outcome == "wrong"
    tried = len(watched.told)
    assert [watched.reloading.look() for _ in range(2 * AGAIN)] == [None] * 2 * AGAIN
    assert len(watched.told) == tried + 4, "the new and the old, twice"
    is_there = True
    looks = [watched.reloading.look() for _ in range(2 * AGAIN)]
    assert [one.outcome for one in looks if one is not None] == ["taken"]
    assert limit(watched.reloading.settings) == 20
    assert watched.becomes("[tenants.acme\n").outcome == "wrong"
    assert [watched.reloading.look() for _ in range(2 * AGAIN)] == [None] * 2 * AGAIN


def test_one_that_can_take_neither_the_new_nor_the_old_keeps_nobody_from_the_old(
    watched: Watched,
) -> None:
    """As when a file of prices is gone meanwhile: the reason is told, and the others go back."""

    def refuse(_settings: Settings) -> None:
        raise UsageError("A price is not known.")

    watched.reloading.subscribe(refuse)
    watched.reloading.subscribe(watched.told.append)
    found = watched.becomes("[tenants.acme]\nrequests_per_minute = 20\n")
    assert (found.outcome, found.why) == ("wrong", "A price is not known.")
    assert [limit(one) for one in watched.told] == [20, 10, 10]


def test_without_a_file_there_is_nothing_to_watch() -> None:
    assert Reloading(load_settings()).look() is None
