"""Pure scaling decisions."""
