"""Exceptions whose message the user reads, and how to print text that came from outside."""

_LONGEST = 800  # characters


class UserError(Exception):
    """Bad input. The message is one sentence that names the file or key and the remedy.

    Stage scripts and the command line print it without a traceback and exit with status 1.
    """


class Stopped(UserError):
    """SIGTERM or SIGINT came. The state is saved, and the same command resumes from it."""


def shown(text: object) -> str:
    """Make a text safe to print on a terminal: replace characters that would control it by codes such as `\\x1b`.

    These are the characters that `str.isprintable` refuses, except U+3000: control characters, line ends among them,
    and characters that change the direction of writing (Unicode's categories Cc, Cf, Cs, Co, Cn, Zl and Zp), and
    spaces (Zs) other than U+0020.
    """
    return "".join(one if one.isprintable() or one == "\u3000" else _number(one) for one in str(text))


def shortened(sentence: str) -> str:
    """Shorten a sentence to about 800 characters. A longer one loses its middle, because it names the file at the
    beginning and the remedy at the end."""
    return sentence if len(sentence) <= _LONGEST else f"{sentence[: _LONGEST // 2]} ... {sentence[-_LONGEST // 2 :]}"


def quoted(value: object, longest: int = 60) -> str:
    """Return `repr(value)` to quote in a sentence, cut to `longest` characters."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write an int of more than 4300 digits
        text = "a number of too many digits"
    return shown(text if len(text) <= longest else f"{text[: longest - 3]}...")


def _number(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
