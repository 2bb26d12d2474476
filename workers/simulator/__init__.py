"""Simulated clouds: OpenAI's chat form with a model of latency, and faults on request."""
