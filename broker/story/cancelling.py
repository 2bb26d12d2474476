"""Asking that prompts be cancelled, and seeing which of the two ends each of them gets."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from broker.core.cancels import SKEW_S
from broker.log.control_writer import write_cancels
from broker.records.completion import Completion
from broker.records.control import Cancel
from broker.records.times import to_rfc3339
from broker.settings import Settings
from broker.story.finding import Finding, UnknownIdError
from broker.story.following import CompletionFollower
from broker.story.log_reader import LogReader

LOOK_BACK_S: Final = 1.0
"""After so long without a completion it is looked for among the older ones."""
_POLL_S: Final = 0.1

FateName = Literal["cancelled", "completed", "unknown", "unsettled"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one id that was to be cancelled.

    `completed`: the cancel came too late, and `completion` is its end; also when an earlier cancel
    ended it. `unknown`: no prompt has the id. `unsettled`: no end was seen within the wait.
    """

    id: str
    name: FateName
    completion: Completion | None = None

    def as_json(self) -> dict[str, Any]:
        """What `cancel --json` prints."""
        ended = self.completion
        return {
            "id": self.id,
            "fate": self.name,
            "status": None if ended is None else ended.status,
            "completed_at": None if ended is None else to_rfc3339(ended.completed_at),
        }


def ask_cancel(settings: Settings, ids: Sequence[str], by: str) -> None:
    """Write the cancels and wait for nothing; raises NotReadyError when they are not written."""
    now = time.time()
    write_cancels(settings, (Cancel(identity, now, by) for identity in ids))


def cancel(settings: Settings, ids: Sequence[str], by: str, wait_s: float) -> Iterator[Fate]:
    """Write the cancels, and tell the fate of each id as it becomes known, once.

    It takes at most about `wait_s`, and as long as reading the topics back takes once for each id
    that has no completion by then. Raises NotReadyError when the cluster does not answer.
    """
    pending = dict.fromkeys(ids)
    with CompletionFollower(settings) as follower:
        began, asked_at = time.monotonic(), time.time()
        ask_cancel(settings, list(pending), by)
        looked: set[str] = set()
        while pending and time.monotonic() < began + wait_s:
            for one in follower.poll(_POLL_S):
                ended = one.completion
                if ended.id in pending:
                    del pending[ended.id]
                    yield Fate(ended.id, _fate_of(ended), ended)
            if time.monotonic() < began + LOOK_BACK_S:
                continue
            older = next((identity for identity in pending if identity not in looked), None)
            if older is not None:
                looked.add(older)
                fate = _looked_up(settings, older, asked_at)
                if fate is not None:
                    del pending[older]
                    yield fate
    for identity in pending:
        # It may have ended in the last moment, or never have been looked for.
        yield _looked_up(settings, identity, asked_at) or Fate(identity, "unsettled")


def _looked_up(settings: Settings, identity: str, asked_at: float) -> Fate | None:
    """What the topics say already; None while it is on its way."""
    with LogReader(settings) as reader:
        found = Finding(settings, reader, identity)
        try:
            found.prompts()
        except UnknownIdError:
            return Fate(identity, "unknown")
        found.completions()
    story = found.story
    if len(story.completions) < max(1, story.due):
        return None
    last = max(story.completions, key=lambda one: one.completed_at)
    # One that ended before was cancelled by somebody else, if it was.
    name: FateName = "completed" if last.completed_at < asked_at - SKEW_S else _fate_of(last)
    return Fate(identity, name, last)


def _fate_of(ended: Completion) -> FateName:
    return "cancelled" if ended.status == "cancelled" else "completed"
