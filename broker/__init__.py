"""Weighbridge: a durable request broker for LLM prompts over several clouds."""

__version__ = "0.1.0"
