"""The record of a search, which other stages read."""
