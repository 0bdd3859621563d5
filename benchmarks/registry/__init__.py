"""What publishing and loading cost, and whether they survive kills."""
