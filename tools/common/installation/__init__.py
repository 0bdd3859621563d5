"""What is installed where, as receipts tell it."""
