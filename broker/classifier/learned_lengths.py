"""What was learned of answers' lengths, as the weigher asks for it, with words for people."""

from broker.classifier.rules import Rules
from broker.core.alike import inputs_like
from broker.core.output_length import Expectation, OutputLengths
from broker.core.weighing import answers_asked, expected_answer, expected_output, own_maximum
from broker.records.prompt import Prompt


class LearnedLengths:
    """`broker.classifier.weighing.Lengths` from what was learned."""

    def __init__(self, lengths: OutputLengths, rules: Rules, *, worded: bool = True) -> None:
        """`worded`: it says how it was reached, which takes as long as to find it out."""
        self._worded = worded
        self._lengths = lengths
        self._given = rules.equivalents
        self._quantile = f"{lengths.quantile:.0%}"

    def expected(self, prompt: Prompt, input_tokens: int, now: float) -> tuple[int, str]:
        """Output tokens of all answers together; for chat as learned, for others as known."""
        fields, kind = prompt.fields, prompt.kind
        if kind != "chat":
            prior = expected_output(fields, kind, input_tokens, self._given)
            return prior, f"as {kind}s are"
        answers, own = answers_asked(fields), own_maximum(fields)
        prior = expected_answer(own, input_tokens, self._given)
        series = (prompt.tenant, prompt.model, kind)
        found = self._lengths.expected(series, input_tokens, own, prior, now)
        words = self._words(prompt, input_tokens, found, own) if self._worded else ""
        if answers == 1:
            return found.tokens, words
        return answers * found.tokens, f"{answers} answers, of which {words}"

    def _words(self, prompt: Prompt, input_tokens: int, found: Expectation, own: int | None) -> str:
        if found.level == "prior":
            known = f", {found.answers:,.0f} answers known" if found.answers else ""
            return f"prior for {'its own maximum' if own is not None else 'its length'}{known}"
        whose = f"to {prompt.tenant} " if found.level in {"tenant", "tenant_like"} else ""
        like = ""
        if found.level in {"tenant_like", "model_like"}:
            least, most = inputs_like(input_tokens)
            like = f" for {least:,}{'' if least == most else f' to {most:,}'} tokens in"
        under = f"{found.tokens:,} tokens"
        if own is not None and found.tokens >= own:
            under = f"its own maximum of {under}"
        return (
            f"{self._quantile} of {max(1, found.answers):,.0f} answers {whose}on {prompt.model}"
            f"{like} are up to {under}"
        )
