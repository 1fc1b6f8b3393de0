"""Workers that train for a leader. Nothing here can change an output."""
