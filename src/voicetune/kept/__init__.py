"""Voices that are kept under a name, beside the published one."""
