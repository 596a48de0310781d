"""``python -m sw_reference.llm TEXT``: continues a text greedily, to see that the model works."""

from __future__ import annotations

import argparse
import sys

from sw_reference.llm import GGUFFile, Model, Tokenizer, find_model, generate

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; ends with a one-line message if something is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m sw_reference.llm", description="Continue a text greedily."
    )
    parser.add_argument("text")
    parser.add_argument(
        "--tokens", type=int, default=48, help="at most so many new tokens (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    try:
        file = GGUFFile(find_model())
        model, tokenizer = Model.from_gguf(file), Tokenizer.from_metadata(file.metadata)
        new = generate(model, tokenizer.encode(options.text), options.tokens, end=tokenizer.end)
    except (ModuleNotFoundError, FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(options.text + tokenizer.decode(new))


if __name__ == "__main__":
    main()
