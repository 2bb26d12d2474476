"""The cluster: whether it answers, what it allows, whether its topics are as planned."""

import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from broker.cli.examination.addresses import unreachable
from broker.cli.examination.finding import Finding, failed, ok, problem, warning
from broker.cli.examination.groups import examine_groups
from broker.core.bitmap import MAX_TEXT
from broker.log.clients import EMBEDDED, admin_config, embedded_folder
from broker.log.embedded import EmbeddedKafka
from broker.log.kafka_errors import kafka_error
from broker.log.topic_names import TopicNames
from broker.log.topic_plan import LARGEST_BYTES, PROMPT_BYTES
from broker.log.topics import plan_changes
from broker.records.errors import WeighbridgeError
from broker.settings import Settings

REACH_S = 4.0
REQUEST_S = 5.0
SKEW_S = 2.0
_OUR_TRANSACTION_MS = 60_000


def examine_cluster(settings: Settings) -> Iterator[Finding]:
    """Findings on the cluster; what needs it is left out when it does not answer."""
    if settings.kafka.bootstrap == EMBEDDED:
        embedded = _embedded()
        yield embedded
        if embedded.level != "ok":
            return
    config = admin_config(settings, log_level=0, **{"socket.timeout.ms": int(REACH_S * 1000)})
    client, where = AdminClient(config), str(config["bootstrap.servers"])
    began = time.monotonic()
    try:
        known = client.list_topics(timeout=REACH_S)
    except KafkaException as error:
        yield _silent(kafka_error(error, doing="asking for the topics", where=where), where)
        return
    took = (time.monotonic() - began) * 1000
    yield ok("broker", f"{len(known.brokers)} at {where}, answered in {took:.0f} ms")
    yield from _limits(client, next(iter(known.brokers)), settings)
    yield from _topics(settings, config)
    names = TopicNames(settings.kafka.prefix)
    if names.prompts in known.topics:
        yield from _clock(client, names.prompts, len(known.topics[names.prompts].partitions))
    yield from examine_groups(client, settings, known.topics)


def _silent(error: WeighbridgeError, where: str) -> Finding:
    """Why a cluster does not answer, as far as a TCP connection to its first address tells."""
    host, _, port = where.split(",", maxsplit=1)[0].strip().rpartition(":")
    if error.code != "kafka_unreachable" or not port.isdecimal():
        return failed("broker", error)
    text = unreachable(host.strip("[]"), int(port))
    if text is not None:
        return problem("broker", text, "Check kafka.bootstrap (or --kafka) and that it runs.")
    return problem(
        "broker",
        f"{where} accepts connections, but does not answer as a Kafka broker would.",
        "Check the port, and security.protocol in kafka.client: it may want TLS or SASL.",
    )


def _embedded() -> Finding:
    status = EmbeddedKafka(embedded_folder()).status()
    if status.running:
        return ok("embedded kafka", f"{status.version} runs at {status.bootstrap}")
    return problem(
        "embedded kafka",
        "It does not run.",
        "Run `weighbridge up` or `weighbridge kafka start`, or name your own with --kafka.",
    )


def _limits(client: AdminClient, broker: int, settings: Settings) -> Iterator[Finding]:
    """What the broker's own settings must allow."""
    asked = [ConfigResource(ResourceType.BROKER, str(broker))]
    try:
        (answer,) = client.describe_configs(asked, request_timeout=REQUEST_S).values()
        given = {name: entry.value for name, entry in answer.result(REQUEST_S).items()}
    except KafkaException as error:
        refused = kafka_error(error, doing="reading its settings", where=f"broker {broker}")
        yield warning("broker limits", refused.message, "Allow DescribeConfigs on the cluster.")
        return
    session_ms = int(settings.kafka.session_timeout_s * 1000)
    least = {
        "message.max.bytes": PROMPT_BYTES,
        "socket.request.max.bytes": LARGEST_BYTES,
        "offset.metadata.max.bytes": MAX_TEXT + 1,
        "transaction.max.timeout.ms": _OUR_TRANSACTION_MS,
        "group.max.session.timeout.ms": session_ms,
    }
    wrong = [
        f"{name} is {given[name]}, needed is {bound}"
        for name, bound in least.items()
        if name in given and given[name] is not None and int(given[name]) < bound
    ]
    shortest = given.get("group.min.session.timeout.ms")
    if shortest is not None and int(shortest) > session_ms:
        wrong.append(f"group.min.session.timeout.ms is {shortest}, ours is {session_ms}")
    if wrong:
        mend = "Change that on the broker."
        yield problem("broker limits", f"{'; '.join(wrong)}.", mend)
    else:
        told = f"message.max.bytes {given.get('message.max.bytes', 'unknown')}, the rest is enough"
        yield ok("broker limits", told)


def _topics(settings: Settings, config: dict[str, Any]) -> Iterator[Finding]:
    try:
        changes = plan_changes(settings, config)
    except WeighbridgeError as error:
        yield failed("topics", error)
        return
    if not changes:
        yield ok("topics", f"all of {settings.kafka.prefix}.* are as planned")
    missing = [change.topic for change in changes if change.action == "create"]
    if missing:
        text = f"{len(missing)} are not there: {', '.join(missing)}."
        yield problem("topics", text, "Run `weighbridge topics apply`.")
    for change in changes:
        text = f"{change.topic} {change.reason}."
        if change.action == "refuse":
            yield problem("topics", text, "Do as it says: `topics apply` cannot mend this.")
        elif change.action == "keep":
            yield warning("topics", text, "It works; look at it when there is time.")
        elif change.action != "create":
            yield warning("topics", text, "Run `weighbridge topics apply`.")


def _clock(client: AdminClient, topic: str, partitions: int) -> Iterator[Finding]:
    """The broker's clock stamps prompts: a newest one in the future shows that ours is behind."""
    asked = {TopicPartition(topic, n): OffsetSpec.max_timestamp() for n in range(partitions)}
    try:
        answers = client.list_offsets(asked, request_timeout=REQUEST_S).values()
        newest = max(answer.result(REQUEST_S).timestamp for answer in answers) / 1000
    except KafkaException:
        # An old broker cannot say; then there is nothing to tell.
        return
    ahead = newest - time.time()
    if newest > 0 and ahead > SKEW_S:
        text = f"The newest prompt was accepted {ahead:.0f} s in this machine's future."
        yield warning("clock", text, "Set this machine's and the broker's clock by NTP.")
