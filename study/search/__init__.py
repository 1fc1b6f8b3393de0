"""The search for better params of a model."""
