"""Server-sent events: what is data, what is skipped, and what never ends."""

import pytest

from workers.providers import event_stream
from workers.providers.dialect import MalformedReplyError
from workers.providers.event_stream import EventStream


class TestEvents:
    def test_an_event_that_never_ends_is_not_kept_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_stream, "MAX_EVENT_BYTES", 1_000)
        for part in (b"data: " + b"x" * 100, b"data: " + b"x" * 100 + b"\n", b"data:\n" * 90):
            events = EventStream()

            def endless(part: bytes = part, events: EventStream = events) -> None:
                for _ in range(50):
                    events.feed(part)

            with pytest.raises(MalformedReplyError) as caught:
                endless()
            assert caught.value.code == "answer_too_large"

    def test_what_is_not_data_is_skipped(self) -> None:
        events = EventStream()
        data = b": hi\n\nevent: x\nretry: 5\n\ndata\n\ndata:a\ndata: b\n\ndata:  c\n\nodd: 1\n\n"
        assert events.feed(data) == [b"", b"a\nb", b" c"]

    def test_an_unfinished_last_event_is_dropped(self) -> None:
        assert EventStream().feed(b"data: a\n") == []
