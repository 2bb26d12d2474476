"""The names of our consumer groups under a prefix."""


def classifier_group(prefix: str) -> str:
    """The group that reads prompts."""
    return f"{prefix}.classifier"


def worker_group(prefix: str, provider: str) -> str:
    """The group that reads a provider's work."""
    return f"{prefix}.worker.{provider}"
