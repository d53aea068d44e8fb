"""The rules of Pommerman, for many games at once in NumPy."""
