"""What `autoglm simulate` reads and writes, around the pure simulator."""
