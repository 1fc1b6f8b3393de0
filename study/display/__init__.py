"""What running work shows. Nothing here can change an output."""
