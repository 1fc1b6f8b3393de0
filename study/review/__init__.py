"""What people read: comparisons as records, and the words and figures made from them."""
