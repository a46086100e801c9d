"""Recordings: how they are read, decoded, cleaned and split; the tables of clips; the encoded dataset."""
