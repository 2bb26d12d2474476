"""Sending dead letters to the prompts' topic once more."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from broker.core.dedupe import home_partition
from broker.log.clients import producer_config
from broker.log.kafka_errors import kafka_error
from broker.log.topic_names import TopicNames
from broker.records import headers as names
from broker.records.errors import NotReadyError
from broker.settings import Settings
from broker.story.asked import asked
from broker.story.dead_letters import DeadLetter, DeadLetters
from broker.story.log_reader import LogReader, Progress, input_record
from broker.story.replay_plan import Replay, decide, renamed

DELIVERY_S: Final = 30.0
NO_VALUE: Final = "null_value"
"""The error of a record that had no value from the beginning."""
_RESENT: Final = frozenset({names.ORIGIN, names.ACCEPTED_AT})
"""Headers that the classifier gave a forwarded prompt: a replay is accepted anew."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter that was sent, and where it stands now."""

    replay: Replay
    topic: str
    partition: int
    offset: int


class Replayer:
    """Sends dead letters again. Raises NotReadyError when the cluster does not answer."""

    def __init__(self, settings: Settings, reader: LogReader) -> None:
        self._settings = settings
        self._reader = reader
        self._catalog = settings.catalog()
        names_of_topics = TopicNames(settings.kafka.prefix)
        self._prompts = names_of_topics.prompts
        self.letters = DeadLetters(reader, names_of_topics, self._catalog)

    def planned(
        self,
        letters: Iterable[DeadLetter],
        *,
        now: float,
        new_id: bool,
        progress: Progress | None = None,
    ) -> list[Replay]:
        """What would become of these letters at `now` (unix seconds); their bytes are let go."""
        kept: list[DeadLetter] = []
        renamable: set[str] = set()
        for letter in letters:
            if new_id and renamed(letter, letter.id) is not None:
                renamable.add(letter.place)
            kept.append(letter.without_bytes())
        ids = {letter.id for letter in kept if letter.own_id}
        return decide(
            kept,
            self._prompts,
            window_s=self._settings.dedupe.window_s,
            seen_at=self._seen_at(ids, now, progress) if ids else {},
            now=now,
            renamable=frozenset(renamable) if new_id else None,
        )

    def _seen_at(self, ids: set[str], now: float, progress: Progress | None) -> dict[str, float]:
        """When each id was last met at home, within the window; copies of replays count too."""
        count = self._reader.require(self._prompts)
        homes = {home_partition(identity, count) for identity in ids}
        since = now - self._settings.dedupe.window_s
        spans = self._reader.spans(self._prompts, since=since)
        seen: dict[str, float] = {}
        for batch in self._reader.read([s for s in spans if s.partition in homes], progress):
            for message in batch:
                record = input_record(message)
                one = asked(record, self._catalog)
                if one.own_id and one.id in ids:
                    seen[one.id] = max(seen.get(one.id, 0.0), record.timestamp_s)
        return seen

    def send(self, replays: Iterable[Replay]) -> list[Sent]:
        """Send those that are not held; returns when all are written, in the order given.

        One whose bytes are nowhere any more is left out.
        """
        count = self._reader.require(self._prompts)
        producer = Producer(
            producer_config(
                self._settings,
                **{
                    "message.timeout.ms": int(DELIVERY_S * 1000),
                    "partitioner": "murmur2_random",
                    "log_level": 0,
                },
            )
        )
        places: dict[str, tuple[int, int]] = {}
        failures: list[Any] = []
        going = [replay for replay in replays if not replay.held]
        for replay, letter in self._whole(going):
            value, headers = self.letters.original(letter), letter.headers
            key, identity = letter.key, letter.id
            if replay.new_id is not None and (with_id := renamed(letter, replay.new_id)):
                value, headers = with_id
                key = replay.new_id.encode() if key == identity.encode() else key
                identity = replay.new_id
            if value is None and letter.error != NO_VALUE:
                continue
            home = {"partition": home_partition(identity, count)} if letter.own_id else {}

            def note(error: Any, message: Any, place: str = letter.place) -> None:
                if error is None:
                    places[place] = (message.partition(), message.offset())
                else:
                    failures.append(error)

            kept = [(name, given) for name, given in headers if name not in _RESENT]
            record = {"value": value, "key": key, "headers": kept, "on_delivery": note, **home}
            self._produce(producer, record)
        waiting = producer.flush(DELIVERY_S)
        where = self._settings.kafka.bootstrap
        if failures:
            raise kafka_error(failures[0], doing="sending the letters again", where=where)
        if waiting:
            raise NotReadyError(
                f"Kafka at {where} did not take {waiting} of the letters in {DELIVERY_S:.0f} s.",
                mend="Check the broker. Letters with ids of their own may safely be sent again.",
            )
        return [
            Sent(replay, self._prompts, *places[replay.letter.place])
            for replay in going
            if replay.letter.place in places
        ]

    def _produce(self, producer: Producer, record: dict[str, Any]) -> None:
        while True:
            try:
                producer.produce(self._prompts, **record)
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                where = self._settings.kafka.bootstrap
                raise kafka_error(error, doing="sending the letters again", where=where) from error
            else:
                producer.poll(0)
                return

    def _whole(self, replays: list[Replay]) -> Iterator[tuple[Replay, DeadLetter]]:
        """Each with its letter as it stands in the topic, read once more."""
        by_partition: defaultdict[int, dict[int, Replay]] = defaultdict(dict)
        for replay in replays:
            by_partition[replay.letter.partition][replay.letter.offset] = replay
        for partition, wanted in by_partition.items():
            for letter in self.letters.between(partition, min(wanted), max(wanted) + 1):
                if letter.offset in wanted:
                    yield wanted[letter.offset], letter
