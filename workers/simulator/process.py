"""The simulator's process, from start to a signal."""

import asyncio
import signal

import uvloop

from broker.settings import Settings
from broker.telemetry.logs import get_logger
from broker.telemetry.open_files import allow_connections
from workers.simulator.server import SimulatorServer


async def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; raises NotReadyError when the port cannot be had."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    server = SimulatorServer(settings)
    bound = await server.start(host, port)
    log = get_logger(room="simulator")
    log.info(
        "simulator_listening",
        url=f"http://{host}:{bound}",
        clouds=list(server.clouds),
        fast=settings.simulator.fast,
        speed=settings.simulator.speed,
    )
    try:
        await ending.wait()
    finally:
        await server.stop()
    log.info("simulator_stopped", served={n: c.served.requests for n, c in server.clouds.items()})


def run_simulator(settings: Settings, host: str, port: int) -> None:
    """Run one simulator until it is asked to end; on uvloop."""
    allow_connections()
    uvloop.run(serve(settings, host, port))
