"""params.yaml, typed and checked.

Each module holds the sections of one part of the pipeline. So a change to one part's parameters does not change the
code of another part. `whole` holds all sections. A stage loads only its own.
"""
