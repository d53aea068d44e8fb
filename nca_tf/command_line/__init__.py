"""Command lines: flags from dataclasses, errors in one line, the environment.

Nothing is imported here: `bootstrap` runs before anything is installed.
"""
