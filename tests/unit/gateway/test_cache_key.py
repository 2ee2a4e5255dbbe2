from typing import Any

import pytest

from autoglm_gateway.cache.entry import Entry, read, written
from autoglm_gateway.cache.key import answer_key

SECRET = b"s" * 32
BODY = {"model": "shop", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
WHERE: dict[str, Any] = {
    "secret": SECRET,
    "tenant": "a",
    "pool": "light",
    "model": "glm",
    "revision": "r1",
    "target": "/v1",
    "stream": False,
}


def key(body: dict[str, Any] = BODY, **where: Any) -> bytes | None:
    return answer_key(body, **(WHERE | where))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret", b"t" * 32),
        ("tenant", "b"),
        ("tenant", ""),
        ("pool", "large"),
        ("model", "glm2"),
        ("revision", "r2"),
        ("target", "/v1?x=1"),
        ("stream", True),
    ],
)
def test_a_key_belongs_to_one_tenant_and_place(name: str, value: Any) -> None:
    assert key(BODY, **{name: value}) != key()


@pytest.mark.parametrize("field", ["user", "metadata", "store", "stream", "safety_identifier"])
def test_what_does_not_change_the_answer_does_not_change_the_key(field: str) -> None:
    assert key(BODY | {field: "x"}) == key()


@pytest.mark.parametrize("field", ["max_tokens", "stop", "seed", "response_format", "stream_options", "unheard_of"])
def test_everything_else_changes_the_key(field: str) -> None:
    assert key(BODY | {field: 1}) != key()


def test_the_order_of_fields_and_spaces_do_not_matter_but_the_words_do() -> None:
    assert key(dict(reversed(BODY.items()))) == key()
    assert key(BODY | {"messages": [{"content": "hi", "role": "user"}]}) == key()
    assert key(BODY | {"messages": [{"content": "hi ", "role": "user"}]}) != key()


def test_borders_between_the_parts_cannot_be_moved() -> None:
    assert key(pool="a", model="bc") != key(pool="ab", model="c")
    assert key(pool='a","b', model="c") != key(pool="a", model='b","c')


def test_a_body_that_is_nested_too_deeply_has_no_key() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    assert key(BODY | {"x": deep}) is None


ENTRY = Entry(b"line\nbody", (("content-type", "text/plain"),), stream=True, tokens=5, stored_at=100.5)


def test_an_entry_is_read_as_it_was_written() -> None:
    assert read(written(ENTRY, b"k1", SECRET), b"k1", SECRET) == ENTRY


@pytest.mark.parametrize(
    ("raw", "under", "secret"),
    [
        (written(ENTRY, b"k1", SECRET), b"k2", SECRET),  # moved to another tenant's key
        (written(ENTRY, b"k1", SECRET), b"k1", b"t" * 32),
        (written(ENTRY, b"k1", SECRET)[:-1] + b"X", b"k1", SECRET),
        (b"", b"k1", SECRET),
        (b"garbage that is longer than a signature", b"k1", SECRET),
    ],
)
def test_what_was_not_written_under_this_key_is_not_read(raw: bytes, under: bytes, secret: bytes) -> None:
    assert read(raw, under, secret) is None


def test_age_is_never_negative() -> None:
    assert (ENTRY.age(90.0), ENTRY.age(110.5)) == (0.0, 10.0)
