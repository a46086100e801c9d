"""How long a text the toy can hum."""

CHARACTERS = {"en": 120}
