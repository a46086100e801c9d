"""Cuts long recordings into sentences, and writes the text of each.

`languages` detects which language is spoken, `stretches` says where speech and pauses are, `recognition` transcribes
the speech, `matching` puts a transcript's words in the place of the recogniser's, `voices` tells one speaker from
others, `cutting` cuts at pauses, and `making` does all this for the sources of params.yaml.
"""
