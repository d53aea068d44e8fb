"""Damage to bytes, for tests of what reads them."""


def damage(data, others, rng):
  """Returns bytes with one to three changes.

  Flipped bits, other bytes, a cut, a hole, a piece of another text, and the
  rest of another text.
  """
  data = bytearray(data)
  for _ in range(rng.integers(1, 4)):
    other = others[rng.integers(len(others))]
    at, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 40))
    kind = rng.integers(6)
    if kind < 2 and at < len(data):
      data[at] = rng.integers(256) if kind else data[at] ^ 1 << rng.integers(8)
    elif kind == 2:
      del data[at:]
    elif kind == 3:
      del data[at : at + length]
    elif kind == 4:
      start = int(rng.integers(len(other) + 1))
      data[at:at] = other[start : start + length]
    else:
      data[at:] = other[at:]
  return bytes(data)
