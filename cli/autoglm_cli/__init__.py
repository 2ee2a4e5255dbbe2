"""The command line: kubectl autoglm."""
