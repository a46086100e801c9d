"""voicetune fine-tunes a model that turns text into speech to one person's voice. README.md says where each part is."""
