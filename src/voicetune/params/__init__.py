"""params.yaml, typed and checked. Each file holds the sections of one part of the pipeline, so that a change of one
part's parameters is no change of another part's code. `whole` holds all of them; a stage loads only its own."""
