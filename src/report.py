"""Stage report: writes everything that was measured into metrics/report, as one HTML page and as Markdown."""

from pathlib import Path

from voicetune import entry

OUT = Path("metrics/report")


def main() -> None:
    from voicetune.report import gather, page

    root = Path(".")
    page.write(gather.read(root), root, OUT)
    page.write_run(root)
    print(f"{OUT}/index.html and {OUT}/report.md; `python -m voicetune verdict` prints what they begin with")


if __name__ == "__main__":
    entry.run(main)
