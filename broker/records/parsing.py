"""From the bytes of a record to a prompt, or to the reason why it is none."""

import math
from collections.abc import Mapping
from typing import Any, cast

from broker.records.field_rules import (
    InvalidField,
    check_constraints,
    check_content,
    check_numbers,
    metadata_problem,
)
from broker.records.ids import MAX_ID_LENGTH, is_place_id, is_valid_id, place_id
from broker.records.incoming import InputRecord, Source
from broker.records.prompt import KINDS, PRIORITIES, Catalog, Kind, Priority, Prompt, Rejected
from broker.records.prompt_headers import (
    accepted_at_of,
    check_headers,
    reply_partition_of,
    text_or_none,
)
from broker.records.times import from_rfc3339
from broker.records.value_form import fields_of

MAX_TENANT_LENGTH = 128
MAX_TIMEOUT_S = 30 * 24 * 3600.0


def parse_prompt(record: InputRecord, catalog: Catalog) -> Prompt | Rejected:
    """Read one record of `llm.prompts`.

    Never raises for bad input: whatever the bytes are, the result names the id under which the
    record ends. `accepted_at` is the record's timestamp (the log's append time), or that of the
    first acceptance when the record was forwarded to its home partition.
    """
    found = _Found(record)
    try:
        # The value first: what is wrong with a header must not hide the id that stands in it.
        problem = found.look_at_headers(record, catalog)
        fields = fields_of(record)
        found.look_into(fields)
        if problem is not None:
            raise problem
        return _prompt(record, fields, found, catalog)
    except InvalidField as invalid:
        return found.rejected(record, invalid)


class _Found:
    """What could be read so far, so that a rejection still ends under the prompt's own id."""

    def __init__(self, record: InputRecord) -> None:
        self.id = place_id(record.partition, record.offset)
        self.explicit_id = False
        self.tenant = "default"
        self.metadata: dict[str, str] = {}
        self.reply_partition: int | None = None
        self.accepted_at = accepted_at_of(record)
        self.use_id(text_or_none(record.header("ce_id")))

    def use_id(self, candidate: object) -> None:
        if isinstance(candidate, str) and is_valid_id(candidate) and not is_place_id(candidate):
            self.id, self.explicit_id = candidate, True

    def look_at_headers(self, record: InputRecord, catalog: Catalog) -> InvalidField | None:
        try:
            self.reply_partition = reply_partition_of(record, catalog)
            check_headers(record)
        except InvalidField as invalid:
            return invalid
        return None

    def look_into(self, fields: Mapping[str, Any]) -> None:
        self.use_id(fields.get("id"))
        tenant = fields.get("tenant")
        if isinstance(tenant, str) and _is_label(tenant, MAX_TENANT_LENGTH):
            self.tenant = tenant
        metadata = fields.get("metadata")
        if metadata_problem(metadata) is None and isinstance(metadata, dict):
            self.metadata = metadata

    def rejected(self, record: InputRecord, why: InvalidField) -> Rejected:
        return Rejected(
            id=self.id,
            tenant=self.tenant,
            code=why.code,
            message=why.message,
            explicit_id=self.explicit_id,
            accepted_at=self.accepted_at,
            source=Source(record.partition, record.offset),
            reply_partition=self.reply_partition,
            metadata=self.metadata,
            headers=record.headers,
        )


def _prompt(record: InputRecord, fields: dict[str, Any], found: _Found, catalog: Catalog) -> Prompt:
    _check_id(fields.get("id"))
    tenant = fields.get("tenant", "default")
    if not isinstance(tenant, str) or not _is_label(tenant, MAX_TENANT_LENGTH):
        raise InvalidField(
            "invalid_tenant",
            f"`tenant` must be text of 1 to {MAX_TENANT_LENGTH} printable characters.",
        )
    kind, model = _kind_and_model(fields, catalog)
    priority = fields.get("priority", "standard")
    if priority not in PRIORITIES:
        raise InvalidField(
            "unknown_priority", f"`priority` must be one of {', '.join(PRIORITIES)}."
        )
    stream = fields.get("stream", False)
    if not isinstance(stream, bool):
        raise InvalidField("invalid_stream", "`stream` must be true or false.")
    problem = metadata_problem(fields.get("metadata"))
    if problem:
        raise InvalidField("invalid_metadata", problem)
    check_content(fields, kind)
    check_numbers(fields)
    check_constraints(fields)
    return Prompt(
        id=found.id,
        tenant=tenant,
        kind=kind,
        model=model,
        priority=cast("Priority", priority),
        provider=_pin(fields.get("provider"), model, catalog),
        deadline=_deadline(fields, found.accepted_at),
        stream=stream,
        accepted_at=found.accepted_at,
        source=Source(record.partition, record.offset),
        reply_partition=found.reply_partition,
        explicit_id=found.explicit_id,
        fields=fields,
        metadata=found.metadata,
        headers=record.headers,
    )


def _check_id(given: object) -> None:
    if given is None:
        return
    if not isinstance(given, str):
        raise InvalidField("invalid_id", "`id` must be text.")
    if not is_valid_id(given):
        raise InvalidField(
            "invalid_id",
            f"`id` must have 1 to {MAX_ID_LENGTH} characters of A-Z a-z 0-9 _ . : ~ -.",
        )
    if is_place_id(given):
        raise InvalidField(
            "reserved_id", "Ids of two numbers joined by a hyphen are kept for records without id."
        )


def _kind_and_model(fields: Mapping[str, Any], catalog: Catalog) -> tuple[Kind, str]:
    kind, model = fields.get("kind"), fields.get("model")
    if kind is not None and kind not in KINDS:
        raise InvalidField("unknown_kind", f"`kind` must be one of {', '.join(KINDS)}.")
    if model is None:
        wanted = cast("Kind", kind or "chat")
        model = catalog.default_models.get(wanted)
        if model is None:
            raise InvalidField("unknown_model", f"No model is configured for {wanted} prompts.")
        return wanted, model
    if not isinstance(model, str):
        raise InvalidField("invalid_model", "`model` must be text.")
    served = catalog.models.get(model)
    if served is None:
        known = ", ".join(sorted(catalog.models)[:10])
        raise InvalidField(
            "unknown_model", f"The model {model[:64]!r} is not configured; known are: {known}."
        )
    if kind is not None and kind != served:
        raise InvalidField("kind_mismatch", f"The model {model!r} is for {served}, not for {kind}.")
    return served, model


def _pin(provider: object, model: str, catalog: Catalog) -> str | None:
    if provider is None:
        return None
    if not isinstance(provider, str):
        raise InvalidField("invalid_provider", "`provider` must be text.")
    serving = catalog.providers.get(model, ())
    if provider not in serving:
        raise InvalidField(
            "unknown_provider",
            f"The provider {provider[:64]!r} does not serve {model!r}; "
            f"these do: {', '.join(serving)}.",
        )
    return provider


def _deadline(fields: Mapping[str, Any], accepted_at: float) -> float | None:
    deadline, timeout = fields.get("deadline"), fields.get("timeout_s")
    ends: list[float] = []
    if deadline is not None:
        try:
            ends.append(from_rfc3339(deadline))
        except (TypeError, ValueError) as error:
            raise InvalidField(
                "invalid_deadline", "`deadline` must be an RFC 3339 time with an offset from UTC."
            ) from error
    if timeout is not None:
        number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if not number or not math.isfinite(timeout) or not 0 <= timeout <= MAX_TIMEOUT_S:
            raise InvalidField(
                "invalid_timeout", f"`timeout_s` must be from 0 to {MAX_TIMEOUT_S:.0f} seconds."
            )
        ends.append(accepted_at + timeout)
    return min(ends, default=None)


def _is_label(text: str, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isprintable()
