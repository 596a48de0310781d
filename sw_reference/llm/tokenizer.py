"""Byte-level BPE, as SmolLM2 uses it, made from a GGUF file's metadata.

Text is cut at special tokens, then every digit is cut out on its own, then GPT-2's pattern cuts the rest
into words; in each word bytes are merged pairwise, the pair that was learnt first goes first.
Source: GPT-2's byte-level BPE; llama.cpp names the rule with single digits ``smollm``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["Tokenizer", "split_words"]

_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space, without the four separators \\x1c to \\x1f that Python's \\s adds."""
# GPT-2's pattern for text without digits: there [^\W_] is exactly Unicode's letters.
_WORD = re.compile(
    rf"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W_]+| ?(?:[^\w{_SPACE}]|_)+|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
)
_CONTROL = 3
"""GGUF's token type of special tokens."""


def _byte_letters() -> dict[int, str]:
    """Returns GPT-2's letter for each byte: printable ones stand for themselves, others for U+0100 and on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}


_LETTER = _byte_letters()
_BYTE = {letter: byte for byte, letter in _LETTER.items()}


def split_words(text: str) -> Iterator[str]:
    """Yields the words in which bytes are merged; joined they are the text again."""
    start = 0
    for i, char in enumerate(text):
        if unicodedata.category(char)[0] == "N":
            yield from _WORD.findall(text[start:i])
            yield char
            start = i + 1
    yield from _WORD.findall(text[start:])


class Tokenizer:
    """Turns text into token ids and back.

    Parameters
    ----------
    tokens
        The text of each id, in GPT-2's letters for bytes.
    merges
        Pairs of tokens with a space between, in the order in which they were learnt.
    special
        Ids whose text stands for itself and is cut out before anything else.
    end
        Id that ends a text, or None.
    unknown
        Id of bytes that the vocabulary lacks, or None if there must be none.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        merges: Iterable[str],
        special: Iterable[int] = (),
        *,
        end: int | None = None,
        unknown: int | None = None,
    ) -> None:
        self._tokens = tuple(tokens)
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        self._ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
        self._special = {self._tokens[i]: i for i in special}
        self._unknown = unknown
        self._words: dict[str, list[int]] = {}
        # Longest first, so that a special token never hides a longer one.
        names = sorted(self._special, key=len, reverse=True)
        self._cut = re.compile("|".join(f"({re.escape(name)})" for name in names)) if names else None
        self.end = end

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """Makes the tokenizer that a GGUF file describes; ValueError if it is of another kind."""
        for key, wanted in {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "smollm",
            "tokenizer.ggml.add_bos_token": False,
            "tokenizer.ggml.add_space_prefix": False,
        }.items():
            value = metadata.get(key, False)
            if value != wanted:
                raise ValueError(f"Metadata {key} must be {wanted!r}, not {value!r}")
        try:
            return cls(
                metadata["tokenizer.ggml.tokens"],
                metadata["tokenizer.ggml.merges"],
                [i for i, kind in enumerate(metadata["tokenizer.ggml.token_type"]) if kind == _CONTROL],
                end=metadata.get("tokenizer.ggml.eos_token_id"),
                unknown=metadata.get("tokenizer.ggml.unknown_token_id"),
            )
        except KeyError as error:
            raise ValueError(f"Metadata {error.args[0]} is missing") from error

    def encode(self, text: str) -> list[int]:
        """Returns the ids of `text`; special tokens written out in it become those tokens.

        Raises
        ------
        ValueError
            If a byte is not in the vocabulary and there is no unknown token.
        """
        ids: list[int] = []
        for part in self._cut.split(text) if self._cut else [text]:
            # The pattern has one group per special token: those that did not match are None.
            if part in self._special:
                ids.append(self._special[part])
            elif part:
                for word in split_words(part):
                    ids += self._encode_word(word)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of `ids`; bytes that are not UTF-8 become U+FFFD."""
        parts = (self._token_bytes(i) for i in ids)
        return b"".join(parts).decode("utf-8", errors="replace")

    def _token_bytes(self, i: int) -> bytes:
        token = self._tokens[i]
        if token in self._special:
            return token.encode()
        return bytes(_BYTE[letter] for letter in token)

    def _encode_word(self, word: str) -> list[int]:
        if word not in self._words:
            self._words[word] = [self._id(part) for part in self._merge(word)]
        return self._words[word]

    def _merge(self, word: str) -> list[str]:
        parts = [_LETTER[byte] for byte in word.encode()]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            first = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if first not in self._ranks:
                break
            merged: list[str] = []
            i = 0
            while i < len(parts):
                if i < len(pairs) and pairs[i] == first:
                    merged.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            parts = merged
        return parts

    def _id(self, part: str) -> int:
        if part in self._ids:
            return self._ids[part]
        if self._unknown is None:
            raise ValueError(f"Byte {_BYTE[part[0]]:#04x} is not in the vocabulary")
        return self._unknown
