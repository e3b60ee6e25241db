"""The SSH door: git push, clone and the command table."""
