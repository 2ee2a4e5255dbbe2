"""Messages to prompt tokens, and reply tokens to text: the tokeniser's side of an artifact."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from autoglm_node.query import Alternatives, Message, Score

CHAT_FILE: Final = "chat.json"
TOKENIZER_FILE: Final = "tokenizer.json"


class ChatFormat(BaseModel):
    """chat.json: `prefix`, then role mark and content of every message, then `reply`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str
    roles: dict[str, str]
    reply: str
    stop_ids: tuple[int, ...] = Field(min_length=1)
    default_max_tokens: int = Field(gt=0)


class Chat:
    """The tokeniser of one model together with its chat format."""

    def __init__(self, tokenizer_json: str, chat_format: ChatFormat) -> None:
        """Take the text of tokenizer.json and the format of the same artifact."""
        self.format = chat_format
        self._marks = Tokenizer.from_str(tokenizer_json)
        # What users write is text and nothing else: "<|assistant|>" in a message must not open a turn.
        self._words = Tokenizer.from_str(tokenizer_json)
        self._words.encode_special_tokens = True
        self._mark = cache(self._encoded_mark)  # of the format's few texts

    @classmethod
    def load(cls, artifact: Path) -> Self:
        """Read chat.json and tokenizer.json of an artifact's directory."""
        chat_format = ChatFormat.model_validate_json((artifact / CHAT_FILE).read_bytes())
        return cls((artifact / TOKENIZER_FILE).read_text(encoding="utf-8"), chat_format)

    def prompt_ids(self, messages: Iterable[Message]) -> list[int]:
        """Return the prompt's tokens.

        Raises:
            KeyError: the model knows no such role.
        """
        ids = [*self._mark(self.format.prefix)]
        for message in messages:
            ids += self._mark(self.format.roles[message.role])
            ids += self._words.encode(message.content, add_special_tokens=False).ids
        return [*ids, *self._mark(self.format.reply)]

    def text_ids(self, text: str) -> list[int]:
        """Return the tokens of a bare text, after what every prompt of this model begins with."""
        return [*self._mark(self.format.prefix), *self._words.encode(text, add_special_tokens=False).ids]

    @property
    def vocabulary(self) -> int:
        """How many tokens there are; their numbers begin at 0."""
        return int(self._marks.get_vocab_size())

    def score(self, token_id: int, logprob: float, likeliest: Alternatives = ()) -> Score:
        """Return a token in words; a part of a character reads as U+FFFD."""
        return Score(self._text(token_id), logprob, tuple((self._text(token), score) for token, score in likeliest))

    def _text(self, token_id: int) -> str:
        return str(self._marks.decode([token_id], skip_special_tokens=False))

    def reply(self, stops: Sequence[str] = ()) -> "ReplyText":
        """Return a fresh decoder of one reply that ends at the first of the given texts."""
        return ReplyText(self._marks, stops)

    def _encoded_mark(self, text: str) -> tuple[int, ...]:
        return tuple(self._marks.encode(text, add_special_tokens=False).ids)


class ReplyText:
    """Turns tokens into text piece by piece, never half a character, never past a stop text."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str]) -> None:
        self.stopped = False
        self._tokenizer = tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._stops = tuple(stops)
        self._held = ""

    def push(self, token_ids: Iterable[int]) -> str:
        """Return the text that these tokens make certain; nothing after a stop text."""
        if self.stopped:
            return ""
        for token_id in token_ids:
            self._held += self._decoder.step(self._tokenizer, token_id) or ""
        found = [position for stop in self._stops if (position := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            return self._release(min(found), drop_rest=True)
        return self._release(len(self._held) - held_back(self._held, self._stops))

    def flush(self) -> str:
        """Return what was held back, at the end of a reply."""
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, length: int, *, drop_rest: bool = False) -> str:
        sure = self._held[:length]
        self._held = "" if drop_rest else self._held[length:]
        return sure


def held_back(text: str, stops: Sequence[str]) -> int:
    """Return how many characters at the end may be the beginning of a stop text.

    >>> held_back("so far. E", ["END"]), held_back("so far.", ["END"])
    (1, 0)
    """
    lengths = (
        length for stop in stops for length in range(1, min(len(stop), len(text) + 1)) if text.endswith(stop[:length])
    )
    return max(lengths, default=0)
