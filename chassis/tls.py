"""TLS credentials from PEM files, taken up again when the files are rotated: no restart for a new certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from chassis.errors import CandorError, Reason
from chassis.watched import Watched


def server_credentials(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """A server's credentials; each new connection gets the certificate that the files hold then.

    Args:
        cert: Certificate chain.
        key: Private key.
        client_ca: Roots that callers must be signed by; None: callers need no certificate.

    Raises:
        CandorError: A file cannot be read, or key and certificate do not belong together.
    """

    def configuration(chain: bytes, private: bytes, roots: bytes | None = None) -> grpc.ServerCertificateConfiguration:
        check_pair(cert, key)
        return grpc.ssl_server_certificate_configuration([(private, chain)], root_certificates=roots)

    watched = Watched([cert, key, *([client_ca] if client_ca else [])], configuration)
    initial, sent = watched.versioned()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """What gRPC asks before each handshake, on a thread of its own: a new configuration, or None for no change."""
        nonlocal sent
        current, version = watched.versioned()
        if version == sent:
            return None
        sent = version
        return current

    return grpc.dynamic_ssl_server_credentials(
        initial,
        changed,  # type: ignore[arg-type]  # None means no change, its documentation says
        require_client_authentication=client_ca is not None,
    )


def channel_credentials(ca: Path, cert: Path | None, key: Path | None) -> Watched[grpc.ChannelCredentials]:
    """A client's credentials, made anew when a file changes. Raises as `server_credentials` does."""
    if cert is None or key is None:
        return Watched([ca], grpc.ssl_channel_credentials)

    def credentials(roots: bytes, private: bytes, chain: bytes) -> grpc.ChannelCredentials:
        check_pair(cert, key)
        return grpc.ssl_channel_credentials(roots, private, chain)

    return Watched([ca, key, cert], credentials)


def check_pair(cert: Path, key: Path) -> None:
    """Raise a CandorError unless both are PEM and belong together; gRPC alone would say nothing of use."""
    try:
        # An encrypted key is an error here; without a password OpenSSL would ask for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        why = "both must be PEM, the key not encrypted, and belong together"
        message = f"TLS certificate {cert} and key {key} cannot be used together: {why}"
        raise CandorError(Reason.INVALID_REQUEST, message) from error
    except OSError as error:
        message = f"TLS certificate {cert} or key {key} cannot be read: {error.strerror}"
        raise CandorError(Reason.INVALID_REQUEST, message) from error
