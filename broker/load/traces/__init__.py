"""The first requests of two real traces; README.md here has their source and licence."""

from broker.load.traces.requests import SOURCES, Source, TraceRequest, load_trace

__all__ = ["SOURCES", "Source", "TraceRequest", "load_trace"]
