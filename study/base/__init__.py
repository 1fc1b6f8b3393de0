"""What every program needs: files, the process, what it was made from, checkpoints."""
