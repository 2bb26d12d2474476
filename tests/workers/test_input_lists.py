"""Texts of a list of embedding inputs that lie in a store: each in its place, checked, bounded."""

from pathlib import Path

import orjson

from tests.workers.test_inputs import asked, failed_by, stored
from workers.ends import Finish


def test_inputs_by_reference_stand_in_their_places_among_the_others(tmp_path: Path) -> None:
    own = tmp_path / "own"
    given = ["first", stored(own, "b", "zweiter é".encode()), "third"]
    # A document is its text, also one that is JSON, and one that is asked for twice comes twice.
    given += [stored(own, "d", b"[1, 2]", dataref_type="application/json"), given[1]]
    end, (body,) = asked(tmp_path, {"input": given}, "embedding")
    assert isinstance(end, Finish)
    assert body["input"] == ["first", "zweiter é", "third", "[1, 2]", "zweiter é"]
    rows = end.completion.body["data"] if end.completion.body else []
    assert [row["index"] for row in rows] == list(range(5))


def test_hundreds_of_inputs_keep_their_order_though_they_are_read_at_once(tmp_path: Path) -> None:
    own = tmp_path / "own"
    texts = [f"text {number} " * (1 + number % 7 * 50) for number in range(300)]
    given = [stored(own, str(number), text.encode()) for number, text in enumerate(texts)]
    end, (body,) = asked(tmp_path, {"input": given}, "embedding", travels=200_000)
    assert isinstance(end, Finish)
    assert end.completion.status == "succeeded"
    assert body["input"] == texts


def test_one_wrong_input_of_many_fails_them_all_without_a_call(tmp_path: Path) -> None:
    own = tmp_path / "own"
    good = [stored(own, str(number), b"text %d" % number) for number in range(12)]
    wrong = {
        "mismatch": {**good[7], "dataref_sha256": "0a" * 32},
        "missing": {**good[7], "dataref": f"{own.as_uri()}/gone"},
        "not_allowed": stored(tmp_path / "beside", "7", b"text 7"),
        "unreadable": stored(own, "binary", b"\xff\xfe"),
        "too_large": {**good[7], "dataref_size": 10**9},
    }
    for code, one in wrong.items():
        given = [*good[:7], one, *good[8:]]
        failed_by(tmp_path, {"input": given}, code, kind="embedding")


def test_what_is_referred_to_often_is_counted_as_often(tmp_path: Path) -> None:
    # Or a record of some kilobytes would make a worker hold gigabytes.
    given = stored(tmp_path / "own", "a", b"x" * 100_000)
    for many, fits in ((10, True), (11, False)):
        end, came = asked(
            tmp_path, {"input": [given] * many}, "embedding", max_input_bytes=1_000_000
        )
        assert isinstance(end, Finish)
        error = end.completion.error
        assert (None if error is None else error.code, len(came)) == (
            (None, 1) if fits else ("dataref_too_large", 0)
        )


def test_a_list_in_a_store_may_not_refer_further(tmp_path: Path) -> None:
    own = tmp_path / "own"
    inner = stored(own, "inner", b"text")
    whole = stored(own, "list", orjson.dumps(["a", inner]), dataref_type="application/json")
    failed_by(tmp_path, {"input": whole}, "unreadable", kind="embedding")
