"""Stage report: all that was measured, as one page and as Markdown, in metrics/report."""

from pathlib import Path

from voicetune import params, stage

OUT = Path("metrics/report")


def main() -> None:
    params.load()
    from voicetune.report import gather, page  # drawing: only once the parameters are good

    root = Path(".")
    page.write(gather.read(root), root, OUT)
    print(f"{OUT}/index.html and {OUT}/report.md")


if __name__ == "__main__":
    stage.run(main)
