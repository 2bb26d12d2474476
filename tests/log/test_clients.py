"""The clients' settings, and librdkafka's names of TLS and SASL told to aiokafka."""

import ssl
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from broker.log.aiokafka_security import aiokafka_security, plan_security, tls_context
from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.kafka_errors import KafkaFailedError, kafka_error
from broker.records.errors import NotReadyError, UsageError
from broker.settings import Settings, load_settings

SCRAM = {
    "security.protocol": "sasl_ssl",
    "sasl.mechanisms": "SCRAM-SHA-512",
    "sasl.username": "me",
    "sasl.password": "secret",
}


def settings_with(client: dict[str, str]) -> Settings:
    return load_settings(kafka={"bootstrap": "host:9092", "client": client})


def test_the_client_section_reaches_every_client_with_its_secrets_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_SECRET", "s3cret")
    settings = settings_with({**SCRAM, "sasl.password": "env:KAFKA_SECRET"})
    for config in (admin_config(settings), producer_config(settings), consumer_config(settings)):
        assert config["bootstrap.servers"] == "host:9092"
        assert config["sasl.password"] == "s3cret"
        assert config["security.protocol"] == "sasl_ssl"


def test_promises_are_the_defaults_and_the_caller_s_word_wins() -> None:
    settings = settings_with({"linger.ms": "9"})
    producer = producer_config(settings, **{"transactional.id": "t"})
    assert producer["acks"] == "all"
    assert producer["enable.idempotence"] is True
    assert producer["linger.ms"] == "9"
    assert producer["transactional.id"] == "t"
    consumer = consumer_config(settings, **{"group.id": "g", "auto.offset.reset": "latest"})
    assert consumer["isolation.level"] == "read_committed"
    assert consumer["enable.auto.commit"] is False
    assert consumer["auto.offset.reset"] == "latest"


def test_librdkafka_knows_every_name() -> None:
    settings = load_settings(kafka={"bootstrap": "127.0.0.1:1"})
    Producer(producer_config(settings, log_level=0))
    Consumer(consumer_config(settings, **{"group.id": "g", "log_level": 0})).close()


def test_without_a_running_embedded_broker_the_way_to_one_is_told() -> None:
    with pytest.raises(NotReadyError, match="weighbridge kafka start") as told:
        admin_config(load_settings())
    assert told.value.code == "kafka_not_running"


def test_plain_text_needs_nothing() -> None:
    assert aiokafka_security({}) == {"security_protocol": "PLAINTEXT"}


def test_scram_over_tls() -> None:
    plan = plan_security(SCRAM)
    assert plan.arguments == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "secret",
    }
    assert plan.tls is not None
    assert plan.tls.verify
    assert plan.tls.check_host


def test_tls_names() -> None:
    plan = plan_security(
        {
            "security.protocol": "SSL",
            "ssl.ca.location": "/ca.pem",
            "ssl.certificate.pem": "CERT",
            "ssl.key.location": "/key.pem",
            "ssl.key.password": "pw",
            "ssl.endpoint.identification.algorithm": "none",
        }
    )
    assert plan.tls is not None
    assert plan.tls.ca_place == "/ca.pem"
    assert plan.tls.certificate_text == "CERT"
    assert plan.tls.key_place == "/key.pem"
    assert plan.tls.verify
    assert not plan.tls.check_host


@pytest.mark.parametrize(
    ("client", "word"),
    [
        ({"security.protocol": "tls"}, "tls"),
        ({**SCRAM, "sasl.mechanisms": "OAUTHBEARER"}, "OAUTHBEARER"),
        ({**SCRAM, "sasl.password": ""}, "sasl.password"),
        ({"security.protocol": "ssl", "ssl.keystore.location": "/x"}, "ssl.keystore.location"),
    ],
)
def test_what_aiokafka_cannot_honour_is_refused_not_weakened(
    client: dict[str, str], word: str
) -> None:
    with pytest.raises(UsageError) as told:
        plan_security(client)
    assert word.lower() in str(told.value).lower()
    assert "secret" not in str(told.value)


def test_a_missing_certificate_is_told_with_what_to_check(tmp_path: Path) -> None:
    client = {"security.protocol": "ssl", "ssl.ca.location": str(tmp_path / "none.pem")}
    with pytest.raises(UsageError, match=r"ssl\.ca\.location"):
        aiokafka_security(client)


@pytest.mark.parametrize(
    ("more", "mode", "host"),
    [
        ({}, ssl.CERT_REQUIRED, True),
        ({"ssl.endpoint.identification.algorithm": "none"}, ssl.CERT_REQUIRED, False),
        ({"enable.ssl.certificate.verification": "false"}, ssl.CERT_NONE, False),
    ],
)
def test_the_context_checks_what_was_asked(
    more: dict[str, str], mode: ssl.VerifyMode, *, host: bool
) -> None:
    plan = plan_security({"security.protocol": "ssl", **more})
    assert plan.tls is not None
    context = tls_context(plan.tls)
    assert context.verify_mode == mode
    assert context.check_hostname is host


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        (KafkaError._TRANSPORT, NotReadyError, "kafka_unreachable"),  # noqa: SLF001 - its name
        (KafkaError.SASL_AUTHENTICATION_FAILED, NotReadyError, "kafka_refused"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, NotReadyError, "no_topic"),
        (KafkaError._INVALID_ARG, UsageError, "usage"),  # noqa: SLF001 - its name
        (KafkaError.NOT_ENOUGH_REPLICAS, KafkaFailedError, "kafka_error"),
    ],
)
def test_the_client_s_errors_are_told_in_our_words(
    code: int, kind: type[Exception], word: str
) -> None:
    told = kafka_error(KafkaException(KafkaError(code)), doing="trying", where="host:9092")
    assert type(told) is kind
    assert told.code == word
    assert "trying" in told.message
