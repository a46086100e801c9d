"""Removes a speaker from a project: the recordings, all that was made of them, and their copies in DVC's cache."""
