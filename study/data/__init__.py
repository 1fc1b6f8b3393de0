"""The images: where they come from, how they are checked and cleaned."""
