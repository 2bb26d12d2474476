"""The shipped cut of the two traces: as published, in order, with its attribution."""

from importlib.resources import files
from pathlib import Path

from broker.load.traces import SOURCES, load_trace

ROOT = Path(__file__).parents[2]


def test_both_sources_are_merged_by_arrival() -> None:
    trace = load_trace()
    assert len(trace) == 3000
    assert [request.at_s for request in trace] == sorted(request.at_s for request in trace)
    for source in SOURCES:
        own = [request for request in trace if request.source == source]
        assert len(own) == 1500
        assert own[0].at_s == 0.0
        assert load_trace((source,)) == tuple(own)


def test_the_first_rows_are_the_published_ones() -> None:
    conv, code = load_trace(("conv",)), load_trace(("code",))
    assert [(one.input_tokens, one.output_tokens) for one in conv[:3]] == [
        (374, 44),
        (396, 109),
        (879, 55),
    ]
    assert [(one.input_tokens, one.output_tokens) for one in code[:3]] == [
        (4808, 10),
        (3180, 8),
        (110, 27),
    ]
    assert conv[1].at_s == 4.315
    assert all(one.input_tokens > 0 and one.output_tokens > 0 for one in (*conv, *code))


def test_source_licence_and_citation_travel_with_the_data() -> None:
    told = (files("broker.load.traces") / "README.md").read_text(encoding="utf-8")
    for needed in ("CC BY 4.0", "creativecommons.org/licenses/by/4.0", "Splitwise", "Microsoft"):
        assert needed in told.replace("Creative Commons Attribution 4.0 International", "CC BY 4.0")
    listed = (ROOT / "THIRD_PARTY_LICENSES.md").read_text(encoding="utf-8")
    assert "broker/load/traces" in listed
    assert "CC-BY-4.0" in listed
