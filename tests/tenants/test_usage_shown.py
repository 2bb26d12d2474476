"""Which limits `weighbridge tenants` shows of many: those that people look for."""

from broker.cli.tenants import fullest
from broker.story.tenant_usage import Use


def use(tenant: str, used: float, limit: float | None) -> Use:
    return Use(tenant, "day", "requests", used, limit, 0.0)


def test_of_ten_thousand_limits_the_fullest_come_first() -> None:
    many = [use(f"t{number}", number % 50, 100.0) for number in range(10_000)]
    many[4_000:4_000] = [use("over", 11.0, 10.0), use("near", 99.0, 100.0)]
    shown = fullest(many, 40)
    assert [one.tenant for one in shown[:2]] == ["over", "near"]
    assert len(shown) == 40
    assert {one.used for one in shown[2:]} == {49}


def test_few_stay_in_the_order_of_their_names_and_nothing_is_left_out() -> None:
    few = [use("a", 0.0, 10.0), use("b", 0.0, 0.0), use("c", 3.0, None)]
    assert fullest(few, 3) == few
    assert [one.tenant for one in fullest(few, 2)] != []
