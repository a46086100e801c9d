"""A toy: the smallest model that goes through the whole pipeline. See `voicetune.model` for what each module is for.

It hums. Its audio codes are the loudness of a sound, 21.5 times a second, and a GRU predicts them from the letters of
the text and the mean loudness of the speaker. Its sound is one tone of that loudness.
"""
