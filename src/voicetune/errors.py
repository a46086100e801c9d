"""The exceptions that a user is meant to read, and how what came from outside is shown."""

_LONGEST = 800  # characters


class UserError(Exception):
    """Bad input. The message is one sentence that names the file or key and the remedy.

    Stage scripts and the command line print it without a traceback and exit with status 1.
    """


class Stopped(UserError):
    """SIGTERM or SIGINT came; what was done is kept, and the same command goes on from there."""


def shown(text: object) -> str:
    """A text for a terminal: what a terminal would obey rather than show is written as its number, `\\x1b`.

    These are control characters, line ends among them, and what turns the direction of writing: Unicode's
    categories Cc, Cf, Cs, Co, Cn, Zl and Zp, as `str.isprintable` knows them.
    """
    return "".join(one if one.isprintable() or one == "\u3000" else _number(one) for one in str(text))


def shortened(sentence: str) -> str:
    """A sentence of about 800 characters at most. A longer one loses its middle: the file stands at the beginning, the
    remedy at the end."""
    return sentence if len(sentence) <= _LONGEST else f"{sentence[: _LONGEST // 2]} ... {sentence[-_LONGEST // 2 :]}"


def quoted(value: object, longest: int = 60) -> str:
    """A value as Python writes it, to be quoted in a sentence; cut if it has more characters than `longest`."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        text = "a number of too many digits"
    return shown(text if len(text) <= longest else f"{text[: longest - 3]}...")


def _number(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
