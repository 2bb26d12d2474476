"""An identity service on this machine: what Google's and Microsoft's libraries ask for tokens."""

import datetime as dt
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

MARKER = "token-marker"
SECRET = "client-secret-marker"  # noqa: S105 - it is looked for where it must not be


@dataclass
class TokenServer:
    """What it says, and what it was asked."""

    url: str = ""
    status: int = 200
    lifetime_s: int = 3_600
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    @property
    def token(self) -> str:
        """The last one."""
        return f"{MARKER}-{len(self.asked)}"


@contextmanager
def token_server(certificate: Path | None = None) -> Iterator[TokenServer]:
    """One that runs meanwhile; with a certificate it speaks TLS."""
    told = TokenServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            base = f"{told.url}/{urlsplit(self.path).path.split('/')[1]}"
            self.answer(
                200,
                {
                    "issuer": base,
                    "authorization_endpoint": f"{base}/oauth2/authorize",
                    "token_endpoint": f"{base}/oauth2/token",
                },
            )

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked = parse_qs(self.rfile.read(length).decode())
            told.asked.append({**asked, "path": [self.path]})
            if told.status != http.HTTPStatus.OK:
                self.answer(told.status, {"error": "invalid_grant", "error_description": SECRET})
                return
            token = {"access_token": told.token, "token_type": "Bearer"}
            self.answer(200, {**token, "expires_in": told.lifetime_s})

        def answer(self, status: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        told.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join(10)


def private_key() -> tuple[rsa.RSAPrivateKey, str]:
    """A key, and the same as PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key, pem.decode()


def certificate_in(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key, pem = private_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "tls.pem"
    file.write_text(made.public_bytes(serialization.Encoding.PEM).decode() + pem)
    return file


def service_account_in(folder: Path, token_uri: str) -> Path:
    """A key file of a service account, as Google's console writes it."""
    _, pem = private_key()
    file = folder / "service-account.json"
    file.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "some-project",
                "private_key_id": "1",
                "private_key": pem,
                "client_email": "robot@some-project.iam.gserviceaccount.com",
                "client_id": "1",
                "token_uri": token_uri,
            }
        )
    )
    return file
