"""The dialect of vLLM's server: one's own GPUs, or serverless inference that is made of it.

It is OpenAI's with sampling fields of its own, which are passed on, and with errors that are nested
or in older versions flat, whose codes are numbers. The bound of an answer goes by its older name:
every version knows `max_tokens`, those before 0.6.4 only it.

Sources: vLLM's `entrypoints/openai/protocol.py`; for the serverless service CoreWeave's and Weights
& Biases' pages on its errors: 402 and an exceeded quota are spent credit, and a 429 is a limit of
calls at once, which has a sentence and no code.
"""

from typing import Final

from broker.core.retries import CONCURRENCY_LIMIT, Action, RetryTable, Verdict
from workers.providers.dialect import ErrorReply, Reply
from workers.providers.openai import OpenAI
from workers.providers.openai_errors import OPENAI

_STOPPED: Final = Verdict(Action.MOVE, unhealthy=True, spent=True)

VLLM_RETRIES: Final[RetryTable] = OPENAI.with_rows(
    # Keys do not expire there: who is refused once is refused until somebody acts.
    by_status={401: _STOPPED, 403: _STOPPED},
)

_TOO_MANY: Final = 429


class VLLM(OpenAI):
    """The adapter."""

    retries: RetryTable = VLLM_RETRIES
    longest_answer: str = "max_tokens"

    def error(self, reply: Reply) -> ErrorReply:
        """Read an error; those that have only a sentence get the code that it means."""
        error = super().error(reply)
        said = error.message.lower()
        if reply.status == _TOO_MANY and "concurrency limit" in said:
            error.code = CONCURRENCY_LIMIT
        elif reply.status == _TOO_MANY and "exceeded your current quota" in said:
            error.code = "insufficient_quota"
        elif "maximum context length" in said:
            error.code = "context_length_exceeded"
        return error
