"""Tables of prices: the shipped one, a user's own in the same form, or one in LiteLLM's form."""

import datetime as dt
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, ValidationError, model_validator

from broker.core.prices import Prices
from broker.records.errors import UsageError
from broker.settings.litellm_prices import from_litellm, is_litellm
from broker.settings.section import Name, Section

SHIPPED: Final = Path(__file__).with_name("prices.toml")
_MOST_BYTES: Final = 64 * 1024 * 1024


class PricesSettings(Section):
    """The section `[prices]`."""

    file: Path | None = None
    """A table of one's own that goes before the shipped one: TOML in its form (`prices.toml`), or
    LiteLLM's JSON."""


class PriceSet(Section):
    """US dollars for a million tokens, or for one picture."""

    input: NonNegativeFloat | None = None
    cached_input: NonNegativeFloat | None = None
    output: NonNegativeFloat | None = None
    image: NonNegativeFloat | None = None


class PriceRow(PriceSet):
    """One model's."""

    also: tuple[str, ...] = ()
    long_above: PositiveInt | None = None
    long: PriceSet | None = None
    source: str | None = None
    date: dt.date | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.long_above is None) != (self.long is None):
            raise ValueError("long_above and long need each other")
        return self

    @property
    def prices(self) -> Prices:
        """As the core takes them."""
        long = self.long
        return Prices(
            self.input,
            self.output,
            self.cached_input,
            self.image,
            self.long_above,
            None
            if long is None
            else Prices(long.input, long.output, long.cached_input, long.image),
        )


class PriceSection(Section):
    """Those of one provider. Without `hosts` it counts wherever the provider is."""

    dialects: tuple[Name, ...] = ()
    hosts: tuple[str, ...] = ()
    like: str | None = None
    source: str = ""
    date: dt.date | None = None
    models: dict[str, PriceRow] = Field(default_factory=dict)

    def row(self, model: str) -> PriceRow | None:
        """The row of a model by any of its names."""
        found = self.models.get(model)
        if found is not None:
            return found
        return next((row for row in self.models.values() if model in row.also), None)


class _Sections(Section):
    """A whole table."""

    sections: dict[Name, PriceSection]

    @model_validator(mode="after")
    def _likes_exist(self) -> Self:
        for name, section in self.sections.items():
            if section.like is not None and (
                section.like == name or section.like not in self.sections
            ):
                raise ValueError(f"{name}.like names no other section")
        return self


@dataclass(frozen=True, slots=True)
class Found:
    """A model's prices, and where and as of when they were said."""

    prices: Prices
    source: str


@dataclass(frozen=True, slots=True)
class PriceTable:
    """One file. `name` is told with what is found in it."""

    name: str
    sections: Mapping[str, PriceSection]

    def find(self, model: str, provider: str, dialect: str, host: str | None) -> Found | None:
        """A model's prices at a provider; `host` is None where the simulator stands in for it."""
        for name in self._counting(provider, dialect, host):
            found = self._in(name, model)
            if found is not None:
                return found
        return None

    def named(self, told: str) -> Found | None:
        """The prices that are told as `section/model`, wherever the provider is."""
        section, _, model = told.partition("/")
        return self._in(section, model) if section in self.sections else None

    def _counting(self, provider: str, dialect: str, host: str | None) -> Iterator[str]:
        by_name = [provider] if provider in self.sections else []
        others = [
            name
            for name, section in self.sections.items()
            if name != provider and dialect in section.dialects
        ]
        for name in (*by_name, *others):
            hosts = self.sections[name].hosts
            if host is None or not hosts or any(fnmatchcase(host, one) for one in hosts):
                yield name

    def _in(self, name: str, model: str) -> Found | None:
        section: PriceSection | None = self.sections[name]
        seen = set()
        while section is not None and name not in seen:
            seen.add(name)
            row = section.row(model)
            if row is not None:
                source = row.source or section.source or self.name
                at = row.date or section.date
                return Found(row.prices, source if at is None else f"{source}, {at}")
            name = section.like or ""
            section = self.sections.get(name)
        return None


@cache
def shipped_prices() -> PriceTable:
    """The table that comes with Weighbridge."""
    return read_prices(SHIPPED)


def read_prices(path: Path) -> PriceTable:
    """Read a table, TOML or JSON; raises UsageError that says what is wrong in it."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _wrong(path, f"is larger than {_MOST_BYTES // 2**20} MB")
        text = path.read_text("utf-8")
        given = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror or 'no reason given'}") from None
    except ValueError as error:
        form = "JSON" if path.suffix == ".json" else "TOML"
        raise _wrong(path, f"is not {form}: {error}") from None
    if not isinstance(given, dict):
        raise _wrong(path, "is not an object of sections")
    if is_litellm(given):
        given = from_litellm(given, _own_heads())
    try:
        return PriceTable(str(path), _Sections.model_validate({"sections": given}).sections)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][1:])) or "it"
        raise _wrong(path, f"has a mistake at {place}: {first['msg']}") from None


def _own_heads() -> dict[str, dict[str, Any]]:
    """Our sections without their models."""
    return {
        name: {"dialects": section.dialects, "hosts": section.hosts}
        for name, section in shipped_prices().sections.items()
    }


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError(
        f"The file of prices {path} {what}.",
        mend=f"Mend it, or take prices.file out of the settings; {SHIPPED.name} in the package "
        "shows the form.",
        code="invalid_prices",
    )
