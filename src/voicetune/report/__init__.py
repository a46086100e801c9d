"""The report: what was measured, what it shows and what it does not show, as a page and as Markdown."""
