"""Replays a log or a trace through the deciding parts in virtual time, by one policy or several."""
