"""Backups: the log and all that it needs beside it, as one archive, and an instance made of one."""
