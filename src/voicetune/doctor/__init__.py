"""Says what a run will lack, before anything starts: of the machine, and of the project."""
