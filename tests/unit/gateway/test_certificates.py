"""Which certificates are taken over: tried in memory, without a socket."""

import time
from functools import cache

import pytest

from autoglm_api import names
from autoglm_gateway.certificates import CertificateCollector, Certificates
from support.certificates import HOUR, Pair, pair

CERTIFICATE, KEY = names.TLS_CERTIFICATE_KEY, names.TLS_PRIVATE_KEY


@cache
def good() -> Pair:
    return pair()


def taken(certificates: Certificates, entries: dict[str, bytes]) -> str | None:
    certificates.follow("Secret s", entries)
    return certificates.problem


def series(certificates: Certificates) -> dict[str, float]:
    return {one.name: one.samples[0].value for one in CertificateCollector(certificates).collect()}


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({}, "there is no such Secret"),
        ({CERTIFICATE: b"x"}, f"no {KEY}"),
        ({KEY: b"x", CERTIFICATE: b""}, f"no {CERTIFICATE}"),
        ({CERTIFICATE: b"x", KEY: b"y"}, "it is no pem"),
        ({CERTIFICATE: b"\xff", KEY: b"y"}, "it is no pem"),
        ({CERTIFICATE: good().certificate, KEY: pair().key}, "key values mismatch"),
        (pair(valid=(-2 * HOUR, -HOUR)).entries, "certificate has expired"),
        (pair(valid=(HOUR, 2 * HOUR)).entries, "certificate is not yet valid"),
        (pair(rsa_bits=1024).entries, "ee key too small"),
        (pair(for_clients=True).entries, "unsuitable certificate purpose"),
    ],
)
def test_what_no_client_would_accept_is_refused_with_the_reason(entries: dict[str, bytes], told: str) -> None:
    certificates = Certificates()
    problem = taken(certificates, entries)
    assert problem is not None
    assert told in problem
    assert not certificates.usable
    assert series(certificates) == {names.METRIC_GATEWAY_CERTIFICATE_BROKEN: 1}


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password() -> None:
    certificates = Certificates()
    assert "Secret s" in (taken(certificates, pair(password=b"open sesame").entries) or "")


def test_a_good_one_is_told_with_its_end() -> None:
    certificates = Certificates()
    assert taken(certificates, pair(valid=(-HOUR, HOUR)).entries) is None
    told = series(certificates)
    assert told[names.METRIC_GATEWAY_CERTIFICATE_BROKEN] == 0
    assert abs(told[names.METRIC_GATEWAY_CERTIFICATE_EXPIRY] - time.time() - 3600) < 60


def test_a_worse_one_changes_nothing_but_what_is_told() -> None:
    certificates = Certificates()
    taken(certificates, good().entries)
    before = series(certificates)
    taken(certificates, {})
    assert certificates.usable
    assert series(certificates) == before | {names.METRIC_GATEWAY_CERTIFICATE_BROKEN: 1}


def test_the_same_entries_are_looked_at_once() -> None:
    certificates = Certificates()
    taken(certificates, {})
    certificates.problem = None
    assert taken(certificates, {}) is None


def test_a_chain_and_a_certificate_without_a_last_line_end_are_read() -> None:
    chain = good().certificate.rstrip() + b"\n" + pair().certificate.rstrip()
    assert taken(Certificates(), {CERTIFICATE: chain, KEY: good().key}) is None
