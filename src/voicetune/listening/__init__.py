"""A blind listening test: builds its page, and evaluates the answers of its listeners."""
