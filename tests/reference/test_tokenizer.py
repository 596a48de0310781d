"""The tokenizer of the language model, on a toy vocabulary."""

import pytest

from sw_reference.llm import (
    Tokenizer,
)
from sw_reference.llm.tokenizer import split_words

# The vocabulary of a toy: single letters, then what the merges make, then special tokens.
WORDS = [*"abcdeĠ012-Ã©", "ab", "abc", "Ġa", "Ġab", "Ã©", "<|end|>", "<|e", "?"]
MERGES = ["a b", "Ġ a", "ab c", "Ġ ab", "Ã ©"]


def toy_tokenizer(**options):
    return Tokenizer(WORDS, MERGES, [WORDS.index("<|end|>"), WORDS.index("<|e")], **options)


# Tokenizer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Hello world", ["Hello", " world"]),
        ("It's we'll I'VE", ["It", "'s", " we", "'ll", " I", "'", "VE"]),
        ("in 2026, 3.5%", ["in", " ", "2", "0", "2", "6", ",", " ", "3", ".", "5", "%"]),
        ("a  b\n\n  c ", ["a", " ", " b", "\n\n ", " c", " "]),
        ("x_y = f(a)", ["x", "_", "y", " =", " f", "(", "a", ")"]),
        ("½Ⅷ٣五", ["½", "Ⅷ", "٣", "五"]),
        ("été\u3000中文", ["été", "\u3000", "中文"]),
        ("a\x1cb", ["a", "\x1c", "b"]),
        ("e\u0301", ["e", "\u0301"]),
    ],
)
def test_split_words(text, words):
    assert list(split_words(text)) == words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("abc", ["abc"]),
        ("abab", ["ab", "ab"]),
        ("aab cab", ["a", "ab", "Ġ", "c", "ab"]),
        (" abc", ["Ġ", "abc"]),
        (" abe", ["Ġab", "e"]),
        (" a", ["Ġa"]),
        ("é", ["Ã©"]),
        ("a012", ["a", "0", "1", "2"]),
        ("ab<|end|>c<|ed", ["ab", "<|end|>", "c", "<|e", "d"]),
    ],
)
def test_toy_tokens(text, tokens):
    tokenizer = toy_tokenizer()
    ids = tokenizer.encode(text)
    assert [WORDS[i] for i in ids] == tokens
    assert tokenizer.decode(ids) == text


def test_bytes_that_are_not_in_the_vocabulary():
    assert toy_tokenizer(unknown=WORDS.index("?")).encode("az") == [0, WORDS.index("?")]
    with pytest.raises(ValueError, match=r"^Byte 0x7a is not in the vocabulary$"):
        toy_tokenizer().encode("az")


def test_decode_of_half_a_character():
    assert toy_tokenizer().decode([WORDS.index("Ã")]) == "\ufffd"


def test_tokenizer_from_metadata():
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": WORDS,
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.token_type": [3 if word.startswith("<") else 1 for word in WORDS],
        "tokenizer.ggml.eos_token_id": WORDS.index("<|end|>"),
    }
    tokenizer = Tokenizer.from_metadata(metadata)
    assert tokenizer.end == WORDS.index("<|end|>")
    assert tokenizer.encode("ab<|end|>") == [WORDS.index("ab"), tokenizer.end]
    for key, value, wanted in (
        ("tokenizer.ggml.model", "llama", "gpt2"),
        ("tokenizer.ggml.pre", "llama-bpe", "smollm"),
        ("tokenizer.ggml.add_bos_token", True, False),
    ):
        message = f"^Metadata {key} must be {wanted!r}, not {value!r}$"
        with pytest.raises(ValueError, match=message):
            Tokenizer.from_metadata(metadata | {key: value})
    del metadata["tokenizer.ggml.merges"]
    with pytest.raises(ValueError, match=r"^Metadata tokenizer\.ggml\.merges is missing$"):
        Tokenizer.from_metadata(metadata)


# Parts of the forward pass
