"""Which headers travel on, and what ours are called."""

from broker.records.incoming import Headers

ORIGIN = "weighbridge-origin"
"""`<partition>-<offset>` of a prompt that was forwarded to its home partition."""
ACCEPTED_AT = "weighbridge-accepted-at"
"""When the forwarded prompt was first accepted (RFC 3339)."""

DEAD_LETTER = "dlt-"
"""How the headers begin that a dead letter has beside those of its record."""

OURS = frozenset({"lane", "weight", "attempt", "reason", "status", "provider", ORIGIN, ACCEPTED_AT})
"""Names that this broker writes; a producer's header of the same name is not carried on."""

CONTENT = frozenset({"content-type", "ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time"})
"""Names that describe the prompt's own value and would be wrong on another record."""

COMPLETION_TYPE = b"weighbridge.completion.v1"


def echoed(headers: Headers) -> Headers:
    """The headers of a prompt that its work records and completion carry, byte for byte.

    These are `traceparent`, `tracestate`, CloudEvents extensions and anything that correlates a
    reply with its request (`kafka_correlationId`, `correlation-id`, `x-request-id`, ...).
    """
    return tuple((name, value) for name, value in headers if _is_echoed(name))


def carried(headers: Headers) -> Headers:
    """The headers a work record carries: all of the producer's, except those we write anew."""
    return tuple((name, value) for name, value in headers if name not in OURS)


def _is_echoed(name: str) -> bool:
    if name in CONTENT or name in OURS:
        return False
    lowered = name.lower()
    return (
        lowered in {"traceparent", "tracestate"}
        or lowered.startswith("ce_")
        or "correlation" in lowered
        or lowered.replace("-", "_") in {"x_request_id", "request_id"}
        or lowered in {"kafka_replytopic", "kafka_replypartition"}
    )


def completion_headers(
    original: Headers, *, prompt_id: str, status: str, provider: str, lane: str, at: str
) -> Headers:
    """Headers of the completion of a prompt, in the order consoles show them."""
    echo = tuple((n, v) for n, v in echoed(original) if n != "ce_causationid")
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{prompt_id}/completion".encode()),
        ("ce_source", b"weighbridge"),
        ("ce_type", COMPLETION_TYPE),
        ("ce_time", at.encode()),
        ("ce_causationid", prompt_id.encode()),
        ("content-type", b"application/json"),
        ("status", status.encode()),
        ("provider", provider.encode()),
        ("lane", lane.encode()),
        *echo,
    )
