"""The commands of the command line, one file for each, or for a few that belong together.

Each has a function `add`, which adds the command's parser, and the function that runs the command. A command imports
torch, the sound libraries and other slow ones inside its function, so that `--help` and the light commands are quick.
"""
