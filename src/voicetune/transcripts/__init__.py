"""Cuts long recordings into sentences, and writes the text of each.

`listening` finds the speech and hears its words, `stretches` says where the pauses are, `matching` puts the words of a
transcript in the place of those that were heard, `cutting` cuts at pauses, `voices` tells one speaker from others, and
`making` does all this for the sources of params.yaml.
"""
