"""Writes texts as they are spoken. The models that use it and the measures of speech write numbers in the same words.

It uses the cleaning of XTTS's stock tokenizer (`TTS.tts.layers.xtts`) as a library. It imports no model of voicetune.
"""
