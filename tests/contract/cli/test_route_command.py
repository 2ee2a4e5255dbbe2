"""`autoglm route` as a user runs it, with the real libraries."""

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from autoglm_cli.main import app
from autoglm_gateway.features import Asked
from autoglm_gateway.score import Scorer
from autoglm_gateway.weights import parse_weights

pytest.importorskip("sklearn")
TOPICS = {"tides": 0.9, "taxes": 0.0, "trees": 0.05, "trains": 0.8, "tunes": 0.1, "tools": 0.0}


def row(rng: Random, number: int) -> dict[str, Any]:
    """A question on a topic; each topic has its own chance of a gain, and so its word tells."""
    topic = rng.choice(sorted(TOPICS))
    gains = rng.random() < TOPICS[topic]
    filler = " ".join(rng.choice(["of", "in", "by", "old", "new"]) for _ in range(rng.randint(3, 30)))
    question = f"Tell me about {topic} {filler}"
    return {
        "id": str(number),
        "domain": topic,
        "question": question,
        "weak_correct": int(not gains),
        "strong_correct": 1,
    }


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Rows to train on and rows to measure on."""
    rng = Random(5)
    for name in ("train", "test"):
        (tmp_path / name).write_text("".join(json.dumps(row(rng, number)) + "\n" for number in range(400)))
    return tmp_path / "train", tmp_path / "test"


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["route", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output if code else result.stdout


def test_trained_weights_beat_length_on_rows_of_the_same_topics(files: tuple[Path, Path], tmp_path: Path) -> None:
    train, test = files
    weights = tmp_path / "w.json"
    printed = json.loads(run("train", train, "--out", weights, "-o", "json", "--complex-share", 40))
    assert printed["held_out"]["same_domains"]["apgr"] > printed["held_out"]["length"]["apgr"] + 0.1
    assert "other_domains" in printed["held_out"]
    figures = json.loads(run("eval", test, "--weights", weights, "--output", "json"))
    assert figures["apgr"] > figures["baselines"]["length"]["apgr"] + 0.1
    assert figures["apgr_interval"][0] < figures["apgr"] < figures["apgr_interval"][1]
    assert 0 < figures["cpt50"] < figures["cpt80"] < 100
    assert weights.stat().st_size < 300_000
    scorer = Scorer(parse_weights(weights.read_text()))
    scores = [scorer.score(Asked(question, len(question))) for question in questions(test)]
    assert sum(score >= 50 for score in scores) / len(scores) == pytest.approx(0.4, abs=0.07)


def questions(path: Path) -> list[str]:
    return [json.loads(line)["question"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("compressed", [False, True])
def test_what_eval_prints_as_json_stands_beside_length_and_chance(tmp_path: Path, *, compressed: bool) -> None:
    rng = Random(6)
    text = "".join(json.dumps(row(rng, number)) + "\n" for number in range(300)).encode()
    file = tmp_path / "rows"
    file.write_bytes(gzip.compress(text) if compressed else text)
    figures = json.loads(run("eval", file, "--output", "json"))
    for measures in (figures, figures["baselines"]["length"], figures["baselines"]["random"]):
        assert 0 < measures["apgr"] < 1
        assert 0 < measures["cpt50"] <= measures["cpt80"] <= 100
    assert figures["baselines"]["random"]["apgr"] == pytest.approx(0.5, abs=0.05)


def test_chinese_is_learned_from_its_characters(tmp_path: Path) -> None:
    """Two kinds of questions that share all their characters but not their pairs."""
    rng = Random(8)
    rows = []
    for number in range(400):
        gains = number % 2
        filler = "".join(rng.choice("\u7684\u4e86\u662f\u5728\u6709") for _ in range(rng.randint(2, 12)))
        question = filler + ("\u8d27\u9000" if gains else "\u9000\u8d27")
        rows.append({"domain": str(number % 7), "question": question, "weak_correct": 1 - gains, "strong_correct": 1})
    file = tmp_path / "rows"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    held_out = json.loads(run("train", file, "--out", tmp_path / "w", "-o", "json"))["held_out"]
    assert held_out["same_domains"]["apgr"] > 0.7
    assert held_out["length"]["apgr"] < 0.6


def test_the_shipped_weights_are_measured_without_a_file(files: tuple[Path, Path]) -> None:
    assert "default" in run("eval", files[1])


@pytest.mark.parametrize("flag", [[], ["--include-contaminated"]])
def test_contaminated_rows_are_left_out_unless_asked_for(tmp_path: Path, flag: list[str]) -> None:
    file = tmp_path / "rows"
    rng = Random(2)
    rows = [row(rng, number) | {"contaminated": number % 2} for number in range(100)]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    figures = json.loads(run("eval", file, "-o", "json", *flag))
    assert figures["rows"] == (100 if flag else 50)
    assert figures["contaminated_rows_left_out"] == (0 if flag else 50)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "has no row to use"),
        ([{"question": "a", "weak_correct": 1, "strong_correct": 1}] * 9, "no gap to recover"),
        ([{"question": "a"}], "line 1: weak_correct"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(tmp_path: Path, rows: list[Any], sentence: str) -> None:
    file = tmp_path / "rows"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    assert sentence in " ".join(run("eval", file, code=1).split())


def test_the_score_of_one_question_is_shown_with_what_it_comes_from() -> None:
    printed = run("score", "What is the total of 3 lamps and 2 mugs?")
    assert float(printed.split()[1]) > 50
    assert "numbers" in printed


def test_weights_that_are_none_are_refused(files: tuple[Path, Path]) -> None:
    assert "holds no weights" in " ".join(run("eval", files[1], "--weights", files[0], code=1).split())


def test_weights_that_cannot_be_written_are_said_in_a_sentence(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "w.json"
    assert "cannot be written" in " ".join(run("train", files[0], "--out", out, code=1).split())


def test_one_domain_alone_has_no_figure_for_others(tmp_path: Path) -> None:
    rng = Random(4)
    rows = [row(rng, number) | {"domain": "all"} for number in range(200)]
    file = tmp_path / "rows"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    printed = json.loads(run("train", file, "--out", tmp_path / "w", "-o", "json"))
    assert "same_domains" in printed["held_out"]
    assert "other_domains" not in printed["held_out"]


def test_rows_that_all_gain_teach_nothing(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text('{"question": "a", "weak_correct": 0, "strong_correct": 1}\n' * 9)
    assert "no difference" in " ".join(run("train", file, "--out", tmp_path / "w", code=1).split())
