"""The sections `[lanes]` and `[lengths]`."""

from pathlib import Path

import pytest

from broker.records.errors import UsageError
from broker.settings import load_settings


def test_lanes_may_be_one_word(tmp_path: Path) -> None:
    file = tmp_path / "weighbridge.toml"
    file.write_text('lanes = "auto"\n[kafka]\nprefix = "x"\n')
    lanes = load_settings(file).lanes
    assert (lanes.mode, lanes.light_max) == ("auto", 2_000)
    assert load_settings(lanes={"mode": "auto", "light_share": 0.4}).lanes.light_share == 0.4
    assert load_settings().lanes.mode == "fixed"


@pytest.mark.parametrize(
    "given", ["sometimes", {"mode": "auto", "light_share": 0.6, "heavy_share": 0.4}]
)
def test_what_cannot_be_is_refused(given: object) -> None:
    with pytest.raises(UsageError):
        load_settings(lanes=given)


def test_learning_has_bounds_and_can_be_turned_off() -> None:
    assert load_settings(lengths={"learn": False}).lengths.learn is False
    for wrong in ({"quantile": 1.0}, {"half_life_s": 0}, {"most_tenants": 0}, {"read_back": 0}):
        with pytest.raises(UsageError):
            load_settings(lengths=wrong)
