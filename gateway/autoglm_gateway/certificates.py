"""The certificate that clients are shown: of a Secret, replaced while the gateway runs, and never by a worse one."""

import logging
import os
import ssl
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoglm_api import names

log = logging.getLogger(__name__)

_ALPN: Final = ["http/1.1"]
_KEYS: Final = (names.TLS_CERTIFICATE_KEY, names.TLS_PRIVATE_KEY)


class UnusableCertificateError(Exception):
    """These entries cannot be shown to a client; the text says why and quotes nothing secret."""


class Certificates:
    """Holds the certificate in use; `context` is the listener's for as long as it lives.

    A new certificate is for new connections: the listener's context hands every handshake to the newest one, so
    nothing restarts and connections that are open go on. Without any certificate handshakes are refused.
    """

    def __init__(self) -> None:
        self.context = _context()
        # The older form of the callback is told of every handshake, also of those without a server name.
        self.context.sni_callback = self._present
        self._current: ssl.SSLContext | None = None
        self._entries: Mapping[str, bytes] | None = None
        self.expires: float | None = None
        self.problem: str | None = "certificate"

    @property
    def usable(self) -> bool:
        """Whether clients can be shown a certificate, be it an older one."""
        return self._current is not None

    def follow(self, where: str, entries: Mapping[str, bytes]) -> None:
        """Take over the entries of the Secret called `where`; what cannot be used changes nothing but `problem`."""
        if entries == self._entries:
            return
        self._entries = dict(entries)
        try:
            self._current, self.expires = _loaded(entries)
        except UnusableCertificateError as error:
            self.problem = f"usable certificate in {where} ({error})"
            kept = "the last good one stays" if self.usable else "no client can be served"
            log.error("the certificate in %s cannot be used, %s: %s", where, kept, error)  # noqa: TRY400 - no bug
        else:
            self.problem = None
            log.info("the certificate in %s is in use", where)

    def _present(self, handshake: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        del name, context
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        handshake.context = self._current
        return None


class CertificateCollector(Collector):
    """Whether the Secret's certificate is in use, and until when the one in use is good."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def collect(self) -> Iterable[Metric]:
        """Yield the expiry only once there is a certificate."""
        broken = int(self._certificates.problem is not None)
        text = "1: the certificate of the Secret is not in use."
        yield GaugeMetricFamily(names.METRIC_GATEWAY_CERTIFICATE_BROKEN, text, value=broken)
        if self._certificates.expires is not None:
            text = "When the certificate in use expires, in seconds since 1970."
            yield GaugeMetricFamily(names.METRIC_GATEWAY_CERTIFICATE_EXPIRY, text, value=self._certificates.expires)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    context.num_tickets = 0  # a resumed session would go on with the certificate of its first handshake
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _loaded(entries: Mapping[str, bytes]) -> tuple[ssl.SSLContext, float]:
    """Return a context that shows this certificate, and when it expires."""
    missing = [key for key in _KEYS if not entries.get(key)]
    if missing:
        raise UnusableCertificateError("there is no such Secret" if not entries else f"no {' and '.join(missing)}")
    certificate, key = (entries[one] for one in _KEYS)
    context = _context()
    try:
        _load(context, certificate, key)
        expires = _tried(context, certificate)
    except (ssl.SSLError, ValueError) as error:
        raise UnusableCertificateError(_reason(error)) from None
    return context, expires


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load the pair from memory: the library reads files only, and a private key has no business on a disk."""
    text = certificate.rstrip() + b"\n" + key
    handle = os.memfd_create("certificate")
    try:
        os.write(handle, text)
        # Never ask on the terminal for the password of an encrypted key.
        context.load_cert_chain(f"/proc/self/fd/{handle}", password=lambda: "")
    finally:
        os.close(handle)


def _tried(server: ssl.SSLContext, certificate: bytes) -> float:
    """Shake hands with it in memory, as a client that trusts just this certificate; returns when it expires.

    Finds what loading does not: an expired certificate, one that is none for a server, a key that is too weak.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=certificate.decode("ascii"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (asking, answering, asking, answering):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = asking.getpeercert()
    if not shown:
        raise ValueError("no handshake with it ends")
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it is no PEM").replace("_", " ").lower()
    return "it is no PEM" if isinstance(error, UnicodeDecodeError) else str(error)
