import pytest

from autoglm_gateway.tokens import OutputMean, answered_tokens, events_in, prompt_tokens, streamed_tokens


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 1, 1),
        ("How much is the blue lamp with the wooden foot?", 10, 14),
        ("请问这盏台灯多少钱\uff0c可以打折吗\uff1f", 9, 14),
        ("Сколько стоит эта лампа?", 6, 12),
        ("lone \ud800 surrogate", 3, 6),
    ],
)
def test_a_prompt_is_estimated_in_every_script(text: str, low: int, high: int) -> None:
    assert low <= prompt_tokens(text) <= high


def test_the_mean_forgets_its_guess_at_the_first_answer_and_follows_the_rest() -> None:
    mean = OutputMean()
    assert mean.predicted(0) == 64
    mean.saw(10)
    assert mean.predicted(0) == 10
    for _ in range(300):
        mean.saw(200)
    assert 195 <= mean.predicted(0) <= 200
    assert (mean.predicted(50), mean.predicted(500)) == (50, mean.predicted(0))


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}', 12),
        (b'{"usage": {"completion_tokens" : 7}}', 7),
        (b'{"choices":[]}', 0),
        (b'{"usage":{"completion_tokens":"12"}}', 0),
        (b'{"completion_tokens":5,' + b" " * 4096 + b"}", 0),
        (b"", 0),
    ],
)
def test_an_answer_tells_its_tokens(body: bytes, tokens: int) -> None:
    assert answered_tokens(body) == tokens


def test_a_stream_tells_its_tokens_by_its_events() -> None:
    stream = [b'data: {"role"}\n\ndata: {"a"}\n\n', b'data: {"b"}\n\ndata: {"stop"}\n\ndata: [DONE]\n\n']
    assert streamed_tokens(sum(map(events_in, stream))) == 2
    assert streamed_tokens(1) == 0
