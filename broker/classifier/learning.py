"""What a classifier learns from the journal of calls: how long answers are.

Each classifier reads the whole journal, on a thread of its own and in no group, from some time
back; so one that starts anew comes to know what it knew. What was read waits in a bounded queue and
is taken in on the event loop: a little before each slice of decisions, more while it is idle.
"""

import asyncio
import time
from threading import Thread
from typing import Any, Final, NamedTuple

from orjson import loads

from broker.classifier.lane_keeping import FittedThresholds
from broker.classifier.learned_lengths import LearnedLengths
from broker.classifier.rules import Rules
from broker.core.output_length import Answered, OutputLengths
from broker.log.clients import consumer_config
from broker.log.topic_follower import Back, TopicFollower
from broker.log.topic_names import TopicNames
from broker.records.calls import decode_call
from broker.records.times import from_rfc3339
from broker.settings import Settings
from broker.telemetry.metrics import ClassifierMetrics

_SLICE: Final = 64
"""Taken in before a slice of decisions: as many as it may have prompts."""
_TURN_S: Final = 0.004
"""So long the event loop is kept at once, while much waits."""
_BUSY_S: Final = 0.006
_IDLE_S: Final = 0.05
_MOST_WAITING: Final = 20_000
_HALF_LIVES: Final = 4
_STARTED: Final = b'"event":"started"'
_LOOK_S: Final = 0.02
CATCH_UP_S: Final = 3.0
"""So long at most a start waits for the journal; then the first prompts are weighed by less."""


class Begun(NamedTuple):
    """A prompt was called for the first time, `at` unix seconds, with this weight."""

    weight: int
    lane: str
    at: float


class Learning:
    """What one classifier learns. All but the reading is on the event loop.

    `lengths` and `thresholds` are the weigher's; None where the settings want what is fixed.
    """

    def __init__(self, settings: Settings, rules: Rules, metrics: ClassifierMetrics) -> None:
        given = settings.lengths
        self._known = OutputLengths(given.quantile, given.half_life_s, given.most_tenants)
        self._metrics = metrics
        self._learns = given.learn
        self.lengths = LearnedLengths(self._known, rules) if given.learn else None
        auto = settings.lanes.mode == "auto"
        self.thresholds = FittedThresholds(settings, rules, metrics) if auto else None
        self._closed = False
        self._follower = self._made(settings) if given.learn or auto else None

    def start(self) -> None:
        """Begin to read; on the event loop."""
        if self._follower is None:
            return
        self._follower.start()
        if self.thresholds is not None:
            self.thresholds.start()
        self._idle()

    def use(self, settings: Settings, rules: Rules) -> None:
        """Other settings are in force, as far as they may change; on the event loop.

        Thresholds that begin to follow the traffic do not know that of before, where the journal
        was read already.
        """
        if self._closed:
            return
        given = settings.lengths
        self._known.quantile, self._known.most_tenants = given.quantile, given.most_tenants
        self.lengths = LearnedLengths(self._known, rules) if self._learns else None
        if settings.lanes.mode == "fixed":
            gone, self.thresholds = self.thresholds, None
            if gone is not None:  # which may take some seconds
                Thread(target=gone.close, name="lanes-close", daemon=True).start()
        elif self.thresholds is not None:
            self.thresholds.use(settings.lanes, time.time())
        else:
            self.thresholds = FittedThresholds(settings, rules, self._metrics)
            if self._follower is None:
                self._follower = self._made(settings)
                self.start()
            else:
                self.thresholds.start()

    def wait_caught_up(self, deadline_s: float = CATCH_UP_S) -> bool:
        """Wait until what was there at the start is known; False when not in time.

        For another thread than the event loop's, which has to run meanwhile.
        """
        ends = time.monotonic() + deadline_s
        while not self._all_read:
            if self._closed or time.monotonic() >= ends:
                return False
            time.sleep(_LOOK_S)
        return True

    def read_up(self, deadline_s: float = CATCH_UP_S) -> None:
        """Come to know what a classifier knows, and write nothing; without an event loop.

        Instead of `start`, for one that only asks.
        """
        if self._follower is None:
            return
        self._follower.start()
        if self.thresholds is not None:
            self.thresholds.start()
        ends = time.monotonic() + deadline_s
        all_read = False
        while not all_read and time.monotonic() < ends:
            while self._take_in(_SLICE) and time.monotonic() < ends:
                pass
            if self.thresholds is not None:
                self.thresholds.tick(time.time(), all_read=False)
            all_read = self._all_read
            time.sleep(0.0 if all_read else _LOOK_S)

    @property
    def _all_read(self) -> bool:
        """Whether what was there at the start is taken in."""
        heard = self.thresholds is None or self.thresholds.is_heard
        return heard and (self._follower is None or self._follower.caught_up)

    def before_slice(self) -> None:
        """Take in a little of what was read, a third of a millisecond; before each slice."""
        self._take_in(_SLICE)

    def close(self) -> None:
        """Stop reading; may take some seconds."""
        self._closed = True
        if self._follower is not None:
            self._follower.close()
        if self.thresholds is not None:
            self.thresholds.close()

    def _made(self, settings: Settings) -> TopicFollower[Answered | Begun]:
        given = settings.lengths
        return TopicFollower(
            consumer_config(settings),
            TopicNames(settings.kafka.prefix).calls,
            self._read,
            back=Back(seconds=_HALF_LIVES * given.half_life_s, records=given.read_back),
            most_waiting=_MOST_WAITING,
        )

    def _read(self, message: Any) -> Answered | Begun | None:
        """On the follower's thread. What is not wanted is not decoded."""
        value = message.value()
        wanted = value is not None and (
            self.thresholds is not None if _STARTED in value else self._learns
        )
        return read_call(value, time.time()) if wanted else None

    def _idle(self) -> None:
        if self._closed or self._follower is None:
            return
        ends = time.perf_counter() + _TURN_S
        more = True
        while more and time.perf_counter() < ends:
            more = self._take_in(_SLICE)
        if self.thresholds is not None:
            self.thresholds.tick(time.time(), all_read=self._follower.caught_up)
        pause_s = _BUSY_S if more else _IDLE_S
        asyncio.get_running_loop().call_later(pause_s, self._idle)

    def _take_in(self, most: int) -> bool:
        """Take in so many at most; whether that many were there."""
        if self._follower is None:
            return False
        learned = taken = 0
        for one in self._follower.take(most):
            taken += 1
            if isinstance(one, Answered):
                self._known.learn(one)
                learned += 1
            elif self.thresholds is not None:
                self.thresholds.began(*one)
        if learned:
            self._metrics.answers_learned.inc(learned)
            self._metrics.tenants_learned.set(self._known.tenants)
        return taken == most


def read_call(value: bytes, now: float) -> Answered | Begun | None:
    """What is learned of a line of the journal; None where it teaches nothing.

    A time after `now` (unix seconds) is taken for now: a worker whose clock is ahead must not make
    all that others say old. Only a successful end tells how long an answer is, and only a chat's is
    worth learning. Raises BadRecordError for what is no line of it. A `CallEvent` of each would
    cost four times as much, and every classifier reads all calls.
    """
    try:
        call = loads(value)
        at = min(now, from_rfc3339(call["at"]))
        if call["event"] == "started":
            if call["attempt"] != 1 or type(call.get("weight")) is not int:
                return None
            return Begun(call["weight"], call["lane"], at)
        tokens = call.get("output_tokens")
        given = call.get("weighed_input_tokens") or call.get("input_tokens")
        if call["outcome"] != "ok" or call.get("kind") != "chat":
            return None
        if type(tokens) is not int or type(given) is not int or tokens < 0:
            return None
        own, answers = call.get("own_maximum"), call.get("answers")
        return Answered(
            call["tenant"],
            call["model"],
            "chat",
            given,
            tokens,
            at,
            own_maximum=own if type(own) is int and own > 0 else None,
            cut=call.get("cut") is True,
            answers=answers if type(answers) is int and answers > 0 else 1,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        decode_call(value)  # which says what is wrong with it
        return None
