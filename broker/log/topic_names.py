"""The names of our topics under a prefix."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics of one deployment; `prefix` is `kafka.prefix` of the settings, by default llm."""

    prefix: str = "llm"

    @property
    def prompts(self) -> str:
        """What is asked; the only input."""
        return f"{self.prefix}.prompts"

    def work(self, provider: str) -> str:
        """Prompts weighed and routed to this provider, in lanes."""
        return f"{self.prefix}.work.{provider}"

    @property
    def completions(self) -> str:
        """Exactly one record for each prompt."""
        return f"{self.prefix}.completions"

    @property
    def chunks(self) -> str:
        """Pieces of streamed answers."""
        return f"{self.prefix}.chunks"

    @property
    def calls(self) -> str:
        """The journal of provider calls."""
        return f"{self.prefix}.calls"

    @property
    def providers(self) -> str:
        """The newest state of each worker; compacted."""
        return f"{self.prefix}.providers"

    @property
    def control(self) -> str:
        """Cancellations and drains."""
        return f"{self.prefix}.control"

    @property
    def progress(self) -> str:
        """Place and expected time of prompts that wait."""
        return f"{self.prefix}.progress"

    @property
    def tenants(self) -> str:
        """What each tenant with limits was charged, and given back."""
        return f"{self.prefix}.tenants"

    @property
    def tenant_totals(self) -> str:
        """The sums of those charges by tenant; compacted."""
        return f"{self.prefix}.tenant-totals"

    @property
    def dead_letters(self) -> str:
        """What could not be processed, with the original bytes."""
        return f"{self.prefix}.prompts-dlt"
