"""Measures of the models: cross entropies, measures of what they say, intervals and comparisons."""
