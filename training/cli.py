"""Kinds of command line arguments that several commands take."""

import argparse


def positive(text: str) -> int:
    """A whole number from 1 up, for ``type=`` of an argument.

    Raises:
        argparse.ArgumentTypeError: the text is anything else.
    """
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return int(text)
