"""Training rows: what each token sees, where it stands and what it learns."""

from itertools import pairwise

import pytest
from tokenizers import Tokenizer

from autoglm_shop.chat import VOCABULARY_SIZE, prompt_text, trained_tokenizer
from autoglm_shop.packing import IGNORED, Row, Working, training_row
from autoglm_shop.task import Kind, Split, generate

LENGTH = 128


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return trained_tokenizer(seed=1, queries=300)


def row_of(tokenizer: Tokenizer, seed: int, working: Working) -> Row:
    return training_row(f"{seed}", tokenizer, LENGTH, working)


@pytest.mark.parametrize("working", list(Working))
def test_rows_are_full_length_and_repeatable(tokenizer: Tokenizer, working: Working) -> None:
    row = row_of(tokenizer, 1, working)
    assert {len(row.tokens), len(row.targets), len(row.positions), len(row.branches)} == {LENGTH}
    assert row == row_of(tokenizer, 1, working)
    assert row != row_of(tokenizer, 2, working)


def branches(row: Row) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for place, number in enumerate(row.branches):
        places.setdefault(number, []).append(place)
    return places


def test_a_question_stands_where_it_would_stand_alone(tokenizer: Tokenizer) -> None:
    row = row_of(tokenizer, 3, Working.NONE)
    by_number = branches(row)
    stem = by_number.pop(0)
    assert len(by_number) > 3
    for number, places in by_number.items():
        if number > 0:
            assert [row.positions[place] for place in places] == list(range(len(stem), len(stem) + len(places)))


def test_only_replies_are_learnt_each_up_to_its_end(tokenizer: Tokenizer) -> None:
    row = row_of(tokenizer, 4, Working.NONE)
    for number, places in branches(row).items():
        learnt = [place for place in places if row.targets[place] != IGNORED]
        if number < 1:
            assert not learnt
            continue
        assert all(after == before + 1 for before, after in pairwise(learnt))
        assert [row.targets[place] for place in learnt] == [row.tokens[place + 1] for place in learnt]
        assert tokenizer.id_to_token(row.targets[learnt[-1]]) == "<|endoftext|>"
        assert tokenizer.id_to_token(row.tokens[learnt[0]]) == "<|assistant|>"


def test_a_branch_reads_like_a_served_prompt(tokenizer: Tokenizer) -> None:
    row = row_of(tokenizer, 5, Working.NONE)
    places = branches(row)
    tokens = [row.tokens[place] for place in places[0] + places[1]]
    text = tokenizer.decode(tokens, skip_special_tokens=False)
    prompt = text.removeprefix("[gMASK]<sop><|user|>").split("<|assistant|>")[0]
    assert tokens[: len(tokenizer.encode(prompt_text(prompt)).ids)] == tokenizer.encode(prompt_text(prompt)).ids


def test_only_a_model_that_shows_its_working_gets_drills(tokenizer: Tokenizer) -> None:
    def drills(working: Working) -> int:
        rows = [row_of(tokenizer, seed, working) for seed in range(20)]
        starts = [(row, places[0]) for row in rows for number, places in branches(row).items() if number > 0]
        return sum(tokenizer.id_to_token(row.tokens[place]) == "<|assistant|>" for row, place in starts)

    assert drills(Working.BY_PLACES) > 10
    assert drills(Working.NONE) == 0


def test_any_text_survives_the_tokeniser(tokenizer: Tokenizer) -> None:
    text = "Größe? 12.50 EUR — 你好\n\tok 😀"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_digits_stand_alone(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("3 x 57 = 171").tokens == ["3", "Ġx", "Ġ5", "7", "Ġ=", "Ġ1", "7", "1"]


def test_the_vocabulary_fits_the_models(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() <= VOCABULARY_SIZE


def test_task_words_are_single_tokens(tokenizer: Tokenizer) -> None:
    query = generate(1, Split.TEST, Kind.COMPLEX)
    assert len(tokenizer.encode(query.prompt).ids) < 40
