"""``mosaicd analyze``: the pipeline on recorded footage. Nothing else knows of it."""
