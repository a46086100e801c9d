"""Speaks with a model folder: references, long texts, scripts, and the published voice."""
