"""What a provider call used, as far as the provider said."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of one call; tokens are None where the provider gave none.

    `cached_input_tokens` are part of `input_tokens`, `reasoning_tokens` (a model's thoughts) part
    of `output_tokens`: both are billed. `images` are pictures that were made.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
