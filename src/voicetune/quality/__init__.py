"""Quality control: what is wrong with a clip before a minute of training is spent on it."""
