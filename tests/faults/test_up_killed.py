"""`weighbridge up` killed with SIGKILL: nothing of it stays, and on the same data it goes on."""

from pathlib import Path
from random import Random

import pytest

from tests.faults.rig import fault_settings
from tests.faults.up_fault import up_killed


@pytest.mark.timeout(240)
def test_up_killed_takes_all_with_it_and_on_the_same_data_everything_is_answered(
    prefix: str, tmp_path: Path
) -> None:
    up_killed(fault_settings("embedded", prefix), tmp_path, Random(11))
