import datetime as dt
import ipaddress
import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from autoglm_localcluster.certificates import Identity, KeyPair, issue, kubeconfig, new_authority

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return new_authority(NOW)


def certificate(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate)


def test_leaf_is_signed_by_the_authority(authority: KeyPair) -> None:
    leaf = certificate(issue(authority, Identity("someone"), NOW))
    leaf.verify_directly_issued_by(certificate(authority))
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def test_user_and_groups_are_what_kubernetes_reads(authority: KeyPair) -> None:
    subject = certificate(issue(authority, Identity("alice", ("devs", "ops")), NOW)).subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["alice"]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["devs", "ops"]


def test_server_names_make_a_server_certificate(authority: KeyPair) -> None:
    extensions = certificate(issue(authority, Identity("api", server_names=("localhost", "10.0.0.1")), NOW)).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.1")]
    assert ExtendedKeyUsageOID.SERVER_AUTH in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value


def test_client_certificate_cannot_serve(authority: KeyPair) -> None:
    usage = certificate(issue(authority, Identity("bob"), NOW)).extensions.get_extension_for_class(
        x509.ExtendedKeyUsage
    )
    assert list(usage.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_keys_on_disk_are_the_owners_only(authority: KeyPair, tmp_path: Path) -> None:
    authority.write(tmp_path, "ca")
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600
    assert KeyPair.read(tmp_path, "ca") == authority


def test_kubeconfig_selects_its_only_context(authority: KeyPair) -> None:
    config = yaml.safe_load(kubeconfig("https://127.0.0.1:1", authority.certificate, authority))
    assert config["current-context"] == config["contexts"][0]["name"]
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
