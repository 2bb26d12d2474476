"""TLS and SASL for aiokafka, from librdkafka's names, so that the settings say them once."""

import contextlib
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.records.errors import UsageError

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")
_UNSUPPORTED = (
    *("ssl.keystore.location", "ssl.keystore.password", "ssl.engine.location", "ssl.providers"),
    *("ssl.sigalgs.list", "ssl.curves.list"),
)
_FALSE = ("false", "0", "f")


@dataclass(frozen=True, slots=True)
class TlsPlan:
    """What a TLS context must do. Places are paths of PEM files, or PEM text."""

    ca_place: str | None = None
    ca_text: str | None = None
    certificate_place: str | None = None
    certificate_text: str | None = None
    key_place: str | None = None
    key_text: str | None = None
    key_password: str | None = None
    revoked_place: str | None = None
    ciphers: str | None = None
    verify: bool = True
    check_host: bool = True


@dataclass(frozen=True, slots=True)
class SecurityPlan:
    """How to connect: aiokafka's keyword arguments, and the TLS context to make, if any."""

    arguments: Mapping[str, str]
    tls: TlsPlan | None


def plan_security(client: Mapping[str, str]) -> SecurityPlan:
    """Translate librdkafka's options (secrets already read in); others are ignored. Pure.

    Raises UsageError for one that aiokafka cannot honour: never less safe than was asked.
    """
    protocol = client.get("security.protocol", "plaintext").upper()
    if protocol not in _PROTOCOLS:
        raise _refused("security.protocol", protocol, _PROTOCOLS)
    for name in _UNSUPPORTED:
        if name in client:
            raise UsageError(
                f"The classifier's client cannot use kafka.client.{name!r}.",
                mend="Give PEM files: ssl.ca.location, ssl.certificate.location, ssl.key.location.",
            )
    arguments = {"security_protocol": protocol}
    if protocol.startswith("SASL"):
        arguments |= _sasl(client)
    return SecurityPlan(arguments, _tls(client) if protocol.endswith("SSL") else None)


def aiokafka_security(client: Mapping[str, str]) -> dict[str, Any]:
    """The security arguments of aiokafka's clients, the TLS context included.

    Raises UsageError when a file cannot be read or an option cannot be honoured.
    """
    plan = plan_security(client)
    if plan.tls is None:
        return dict(plan.arguments)
    try:
        return {**plan.arguments, "ssl_context": tls_context(plan.tls)}
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"The TLS files of kafka.client cannot be used: {error}.",
            mend="Check the paths after ssl.ca.location, ssl.certificate.location and "
            "ssl.key.location, and ssl.key.password.",
        ) from error


def tls_context(plan: TlsPlan) -> ssl.SSLContext:
    """Make the context; raises OSError or SSLError for files that are not there or not right."""
    place = Path(plan.ca_place) if plan.ca_place else None
    context = ssl.create_default_context(
        cafile=str(place) if place and not place.is_dir() else None,
        capath=str(place) if place and place.is_dir() else None,
        cadata=plan.ca_text,
    )
    if plan.revoked_place:
        context.load_verify_locations(cafile=plan.revoked_place)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if plan.ciphers:
        context.set_ciphers(plan.ciphers)
    context.check_hostname = plan.verify and plan.check_host
    if not plan.verify:
        context.verify_mode = ssl.CERT_NONE
    with contextlib.ExitStack() as files:
        certificate = _place(plan.certificate_place, plan.certificate_text, files)
        key = _place(plan.key_place, plan.key_text, files)
        if certificate:
            # An empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(certificate, key, plan.key_password or "")
    return context


def _sasl(client: Mapping[str, str]) -> dict[str, str]:
    mechanism = client.get("sasl.mechanisms", client.get("sasl.mechanism", "GSSAPI")).upper()
    if mechanism not in _MECHANISMS:
        raise _refused("sasl.mechanisms", mechanism, _MECHANISMS)
    if mechanism == "GSSAPI":
        service = client.get("sasl.kerberos.service.name", "kafka")
        return {"sasl_mechanism": mechanism, "sasl_kerberos_service_name": service}
    missing = [name for name in ("sasl.username", "sasl.password") if not client.get(name)]
    if missing:
        raise UsageError(
            f"{mechanism} needs kafka.client.{missing[0]!r}, which is not set.",
            mend=f'Set it, for example "{missing[0]}" = "env:KAFKA_SECRET".',
        )
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": client["sasl.username"],
        "sasl_plain_password": client["sasl.password"],
    }


def _tls(client: Mapping[str, str]) -> TlsPlan:
    ca_place = client.get("ssl.ca.location")
    return TlsPlan(
        # librdkafka's word for "where this system keeps them", which is OpenSSL's default here.
        ca_place=None if ca_place == "probe" else ca_place,
        ca_text=client.get("ssl.ca.pem"),
        certificate_place=client.get("ssl.certificate.location"),
        certificate_text=client.get("ssl.certificate.pem"),
        key_place=client.get("ssl.key.location"),
        key_text=client.get("ssl.key.pem"),
        key_password=client.get("ssl.key.password"),
        revoked_place=client.get("ssl.crl.location"),
        ciphers=client.get("ssl.cipher.suites"),
        verify=client.get("enable.ssl.certificate.verification", "true").lower() not in _FALSE,
        check_host=client.get("ssl.endpoint.identification.algorithm", "https").lower() != "none",
    )


def _refused(name: str, given: str, known: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"kafka.client.{name!r} is {given!r}, which the classifier's client does not know.",
        mend=f"It knows {', '.join(known)}.",
    )


def _place(path: str | None, text: str | None, files: contextlib.ExitStack) -> str | None:
    return files.enter_context(_file_of(text)) if path is None and text is not None else path


@contextlib.contextmanager
def _file_of(text: str) -> Iterator[str]:
    # OpenSSL reads certificates and keys of its own from files only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield file.name
