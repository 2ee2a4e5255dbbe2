"""Real certificates, made for one test; their key is as secret as this file."""

import datetime as dt
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from autoglm_api import names

NAME = "localhost"
HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """A certificate with its key, in PEM."""

    certificate: bytes
    key: bytes
    serial: int

    @property
    def entries(self) -> dict[str, bytes]:
        """What a Secret of type kubernetes.io/tls has."""
        return {names.TLS_CERTIFICATE_KEY: self.certificate, names.TLS_PRIVATE_KEY: self.key}

    def trusting(self, name: str = "") -> ssl.SSLContext:
        """A client's context that trusts this certificate only; `name` is an ALPN protocol it offers."""
        context = ssl.create_default_context(cadata=self.certificate.decode())
        if name:
            context.set_alpn_protocols([name])
        return context


def pair(
    *,
    valid: tuple[dt.timedelta, dt.timedelta] = (-HOUR, 24 * HOUR),
    rsa_bits: int = 0,
    for_clients: bool = False,
    password: bytes = b"",
) -> Pair:
    """A self-signed certificate for `localhost`; times from now on."""
    key = rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    serial = x509.random_serial_number()
    made = x509.CertificateBuilder(name, name, key.public_key(), serial)
    made = made.not_valid_before(now + valid[0]).not_valid_after(now + valid[1])
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    if for_clients:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
    encrypted = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encrypted)
    return Pair(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private, serial)
