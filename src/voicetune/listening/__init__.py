"""A blind listening test: the page that is listened to, and what its listeners answered."""
