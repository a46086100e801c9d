"""Reads a page's tags, for the tests of pages."""

from html.parser import HTMLParser

VOID = ("meta", "br", "img")


class Tags(HTMLParser):
    """Collects tags with their attributes, and checks that they close in order.

    Args:
        void: the tags that do not close. If SVG's `line` is one of them, it may close all the same.
    """

    def __init__(self, text: str, void: tuple[str, ...] = VOID):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self._void = void
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self._void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not (tag == "line" and tag in self._void):
            assert self.open.pop() == tag
