"""Stage report: writes everything that was measured into metrics/report, as one HTML page and as Markdown.

It also draws metrics/result.svg, the picture in README.md.
"""

from pathlib import Path

from voicetune import entry

OUT = Path("metrics/report")
PICTURE = Path("metrics/result.svg")


def main() -> None:
    from voicetune.report import inputs, page

    root = Path(".")
    results = inputs.read(root)
    page.write(results, root, OUT)
    page.write_picture(results, PICTURE)
    page.write_run(root)
    print(f"{OUT}/index.html and {OUT}/report.md; `voicetune verdict` prints their first lines")


if __name__ == "__main__":
    entry.run(main)
