"""nginx: one file per app, tested, swapped and proved."""
