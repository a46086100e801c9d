"""Stage report: all that was measured, as one page and as Markdown, in metrics/report."""

from pathlib import Path

from voicetune import stage

OUT = Path("metrics/report")


def main() -> None:
    from voicetune.report import gather, page, verdict

    root = Path(".")
    results = gather.read(root)
    page.write(results, root, OUT)
    page.write_run(root)
    verdict.show(verdict.judge(results.settings.publish, results.figures, results.pairs))
    print(f"{OUT}/index.html and {OUT}/report.md")


if __name__ == "__main__":
    stage.run(main)
