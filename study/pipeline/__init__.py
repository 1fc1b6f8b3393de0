"""The pipeline as a whole: its declared dependencies, its graph, where its time goes."""
