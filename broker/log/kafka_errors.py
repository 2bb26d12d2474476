"""librdkafka's errors in our words, translated in this one place."""

from confluent_kafka import KafkaError, KafkaException

from broker.records.errors import NotReadyError, UsageError, WeighbridgeError

_UNREACHABLE = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001 - the client's public constants begin with _
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - as above
        KafkaError._TIMED_OUT,  # noqa: SLF001 - as above
        KafkaError._MSG_TIMED_OUT,  # noqa: SLF001 - as above
        KafkaError._RESOLVE,  # noqa: SLF001 - as above
        KafkaError.REQUEST_TIMED_OUT,
    }
)
_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - as above
        KafkaError._SSL,  # noqa: SLF001 - as above
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_NO_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - as above
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - as above
    }
)


class KafkaFailedError(WeighbridgeError):
    """Kafka answered with an error that is none of the usual ones; `name` is its own word."""

    default_code = "kafka_error"

    def __init__(self, message: str, *, name: str, retriable: bool) -> None:
        super().__init__(message, mend="The broker's log may say more.")
        self.name = name
        self.retriable = retriable


def kafka_error(error: KafkaException | KafkaError, *, doing: str, where: str) -> WeighbridgeError:
    """What the client said while we were `doing` something at the brokers `where`.

    Texts of librdkafka name brokers, topics and codes, never a record or a credential.
    """
    told = error.args[0] if isinstance(error, KafkaException) else error
    code, text = told.code(), str(told.str()).rstrip(".")
    if code in _UNREACHABLE:
        return NotReadyError(
            f"Kafka at {where} did not answer while {doing}.",
            mend="Check the address and that the broker runs; `weighbridge doctor` looks closer.",
            code="kafka_unreachable",
        )
    if code in _REFUSED:
        return NotReadyError(
            f"Kafka at {where} refused us while {doing}: {text}.",
            mend="Check [kafka.client] in the settings: security.protocol, sasl.* and ssl.*, and "
            "what this user may do.",
            code="kafka_refused",
        )
    if code in _NO_TOPIC:
        return NotReadyError(
            f"A topic or partition is not there at {where} while {doing}.",
            mend="Run `weighbridge topics apply`.",
            code="no_topic",
        )
    if code == KafkaError._INVALID_ARG:  # noqa: SLF001 - as above
        return UsageError(
            f"Kafka's client refuses what it was given while {doing}: {text}.",
            mend="Check [kafka.client] in the settings.",
        )
    return KafkaFailedError(
        f"Kafka at {where} failed while {doing}: {text}.",
        name=told.name(),
        retriable=told.retriable(),
    )
