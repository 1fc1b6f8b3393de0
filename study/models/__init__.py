"""The networks, one folder per family, and their files."""
