"""Which provider models a replay has: the simulated clouds of the settings, or fitted ones."""

from broker.settings import Settings
from broker.settings.simulated import CloudSettings
from broker.simulate.clouds import Capacity, Cloud
from broker.simulate.events import Events
from broker.simulate.laws import SimulatedLaw
from broker.simulate.replay import Delays, MakeCloud
from workers.simulator.faults import FaultPlan


def simulated_clouds(settings: Settings) -> MakeCloud:
    """The clouds of `[simulator]`, as `weighbridge simulator` plays them."""

    def make(provider: str, events: Events, delays: Delays) -> Cloud:
        simulator = settings.simulator
        own = simulator.clouds.get(provider) or CloudSettings()
        capacity = Capacity(
            None if simulator.fast else own.slots,
            own.queue,
            own.concurrency,
            own.requests_per_minute,
            own.tokens_per_minute,
        )
        return Cloud(
            events,
            SimulatedLaw(provider, own, simulator),
            capacity,
            FaultPlan(own.faults, events.now),
            settings.provider(provider),
            call_s=delays.call_s,
        )

    return make
