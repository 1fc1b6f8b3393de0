"""params.yaml: its schema, its reading, and the wording of its faults."""
