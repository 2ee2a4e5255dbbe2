"""The cluster's certificate authority, leaf certificates and kubeconfig files.

Elliptic-curve keys (P-256): a dozen of them take milliseconds, RSA keys seconds.
"""

import base64
import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=365)
# Clocks of a host and its guests may differ a little.
_BACKDATE = dt.timedelta(hours=1)


@dataclass(frozen=True)
class KeyPair:
    """A private key with its certificate, both PEM."""

    key: bytes
    certificate: bytes

    def write(self, directory: Path, name: str) -> None:
        """Write `<name>.key` (owner only) and `<name>.crt`."""
        key_file = directory / f"{name}.key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(self.key)
        (directory / f"{name}.crt").write_bytes(self.certificate)

    @classmethod
    def read(cls, directory: Path, name: str) -> "KeyPair":
        """Read what `write` wrote."""
        return cls((directory / f"{name}.key").read_bytes(), (directory / f"{name}.crt").read_bytes())


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for: user (common name), groups (organisations), and server names if it serves."""

    user: str
    groups: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()


def new_authority(now: dt.datetime) -> KeyPair:
    """Make a self-signed authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(Identity("autoglm-local-ca"))
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, subject, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(_key_pem(key), certificate.public_bytes(serialization.Encoding.PEM))


def issue(authority: KeyPair, identity: Identity, now: dt.datetime) -> KeyPair:
    """Sign a certificate for the identity: a client certificate, and a server one too when it has server names."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    issuer_key = _ec_key(authority.key)
    builder = (
        _builder(_subject(identity), issuer.subject, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_usages(identity)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if identity.server_names:
        names = x509.SubjectAlternativeName([_general_name(name) for name in identity.server_names])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    return KeyPair(_key_pem(key), certificate.public_bytes(serialization.Encoding.PEM))


def new_signing_key() -> tuple[bytes, bytes]:
    """Make the key pair (private PEM, public PEM) that signs service account tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _key_pem(key), public


def kubeconfig(server_url: str, authority: bytes, client: KeyPair) -> str:
    """Kubeconfig (YAML) with everything inline."""
    cluster = {"server": server_url, "certificate-authority-data": _base64(authority)}
    user = {"client-certificate-data": _base64(client.certificate), "client-key-data": _base64(client.key)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
            "current-context": "local",
        }
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _LIFETIME)
    )


def _subject(identity: Identity) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, identity.user)])


def _usages(identity: Identity) -> list[x509.ObjectIdentifier]:
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if identity.server_names else []
    return [ExtendedKeyUsageOID.CLIENT_AUTH, *server]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _ec_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic-curve key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
