"""One cloud against four: the demonstration's prompts once more, in virtual time.

Kills and the outage are left out here, and how long the answers were is known to the simulated
clouds alone. The same prompts are then sent while the preferred cloud is down for some of the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from rich import box
from rich.table import Table
from rich.text import Text

from broker.load.replay import DuePrompt
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Rejected
from broker.settings import Settings
from broker.simulate.asked import Asked, asked_of, numbered
from broker.simulate.compare import Scenario, compare
from broker.simulate.figures import Figures
from broker.simulate.models import simulated_clouds
from broker.simulate.outages import with_outages
from broker.simulate.policies import Policy
from broker.simulate.replay import Delays
from broker.simulate.traces import EPOCH

ONE: Final = "one cloud"
ONE_LARGE: Final = "one, as large"
ALL: Final = "all clouds"
_SEED: Final = 1
_DOWN_FROM, _DOWN_TO = 0.4, 0.6
"""The part of the replay in which the preferred cloud is down, in the second half of the table."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Figures by name, as it is and with the preferred cloud down; times are seconds."""

    usual: Mapping[str, Figures]
    down: Mapping[str, Figures]
    preferred: str
    down_from_s: float
    down_to_s: float

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "preferred": self.preferred,
            "down_s": [round(self.down_from_s, 1), round(self.down_to_s, 1)],
            "usual": {name: one.as_json() for name, one in self.usual.items()},
            "down": {name: one.as_json() for name, one in self.down.items()},
        }


def one_against_all(settings: Settings, plan: Sequence[DuePrompt]) -> Compared:
    """Replay the plan against the preferred cloud alone, one as large as all, and all of them."""
    scenario = Scenario(
        prompts=_asked(settings, plan),
        clouds=simulated_clouds,
        delays=Delays(),
        seed=_SEED,
        sources="the demonstration",
    )
    preferred, length_s = next(iter(settings.providers)), plan[-1].due_s
    begins, ends = _DOWN_FROM * length_s, _DOWN_TO * length_s
    policies = [
        Policy(ONE, _alone(settings, preferred)),
        Policy(ONE_LARGE, _alone(settings, preferred, _places(settings))),
        Policy(ALL, settings),
    ]
    outage = (f"{preferred}:{begins:.1f}-{ends:.1f}",)
    broken = [Policy(one.name, with_outages(one.settings, outage)) for one in policies]
    return Compared(
        dict(compare(scenario, policies, _say_nothing).results),
        dict(compare(scenario, broken, _say_nothing).results),
        preferred,
        begins,
        ends,
    )


def comparison_table(compared: Compared) -> Table:
    """For a terminal: p50 and p95 of all answers, usually and with the preferred cloud down."""
    for_s = compared.down_to_s - compared.down_from_s
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="The same prompts in virtual time",
        title_justify="left",
        caption=f"as large: with the places of all. *: {compared.preferred} down for {for_s:.0f} s",
        caption_justify="left",
    )
    table.add_column("sent to")
    for name in ("p50", "p95", "heavy p95", "* p50", "* p95", "* failed"):
        table.add_column(name, justify="right")
    for name, usual in compared.usual.items():
        broken = compared.down[name]
        failed = broken.prompts - broken.latency.count
        heavy = usual.lanes.get("heavy")
        table.add_row(
            Text(name, style="bold" if name == ALL else ""),
            _seconds(usual.latency.p50),
            _seconds(usual.latency.p95),
            _seconds(None if heavy is None else heavy.p95),
            _seconds(broken.latency.p50),
            _seconds(broken.latency.p95),
            Text(str(failed), style="bold red" if failed else ""),
        )
    return table


def _seconds(ms: float | None) -> str:
    return "-" if ms is None else f"{ms / 1_000:.1f} s"


def _asked(settings: Settings, plan: Sequence[DuePrompt]) -> tuple[Asked, ...]:
    catalog = settings.catalog()
    found = []
    for number, due in enumerate(plan):
        value = orjson.dumps({"id": due.id, **due.fields})
        record = InputRecord("demo", 0, number, EPOCH + due.due_s, None, value, ())
        prompt = parse_prompt(record, catalog)
        if isinstance(prompt, Rejected):
            continue  # the classifier has said so already
        chat = prompt.kind == "chat"
        found.append(asked_of(prompt, due.input_tokens, due.output_tokens if chat else None))
    return numbered(found)


def _places(settings: Settings) -> int:
    return sum(one.max_in_flight for one in settings.providers.values())


def _alone(settings: Settings, name: str, places: int | None = None) -> Settings:
    """Only this provider, with so many places at the cloud and at its worker."""
    provider, clouds = settings.providers[name], dict(settings.simulator.clouds)
    if places is not None:
        provider = provider.model_copy(update={"max_in_flight": places})
        clouds[name] = clouds[name].model_copy(update={"slots": places, "queue": places})
    simulator = settings.simulator.model_copy(update={"clouds": clouds})
    return settings.model_copy(update={"providers": {name: provider}, "simulator": simulator})


def _say_nothing(_words: str) -> None:
    pass
