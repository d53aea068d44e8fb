"""Predictions of a StateModel for whole games: one step ahead, or open loop.

Letters: B games at once, T steps, N components, H horizon, M predictions.
"""

import numpy as np
import tensorflow as tf

_BATCH = 64
STARTS = (0, 4, 8, 12)  # Last steps of a game that M is given, open loop.


class Predictor:
  """Predictions of one model, in batches of one size.

  predictor = Predictor(model)
  now, predicted, nats = predictor.predict(games)  # of states now + 1
  now, dreamt = predictor.dream(games, 20)  # of states now + 1, ... now + 20
  """

  def __init__(self, model):
    """Takes a built StateModel."""
    self._model = model
    # Lengths are left open, so that one graph each serves games of any length.
    states = tf.TensorSpec([_BATCH, None, model.layout.components], tf.int32)
    actions = tf.TensorSpec([_BATCH, None], tf.int32)
    self._predict, self._dream = (
      tf.function(each, autograph=False, input_signature=[states, actions])
      for each in (self._one_step, self._open_loop)
    )

  def predict(self, games):
    """One step ahead, from every true state.

    Args:
      games: pommerman_games.Games.

    Returns:
      [M] indices of the states with a successor, [M, N] uint8 predictions of
      it and [M, N] float32 nats of it.
    """
    first, length = _spans(games)
    found = []
    for chosen in _batches(np.argsort(length, kind='stable')):
      index = _grid(first, length, chosen, int(length[chosen].max()))
      guess, cost = self._predict(
        tf.constant(games.state[index], tf.int32),
        tf.constant(games.action[index], tf.int32),
      )
      valid = np.arange(index.shape[1] - 1) < length[chosen][:, None] - 1
      parts = index[:, :-1], guess.numpy().astype(np.uint8), cost.numpy()
      found.append([part[: len(chosen)][valid] for part in parts])
    return tuple(map(np.concatenate, zip(*found, strict=True)))

  def dream(self, games, horizon: int):
    """Open loop from some states on, with the actions that were taken.

    Args:
      games: pommerman_games.Games.
      horizon: H.

    Returns:
      [M] indices of the last states that it was given, in the order of
      `starts(games)`, and [M, H, N] uint8 predictions; those after the end of
      a game mean nothing.
    """
    first, length = _spans(games)
    found = []
    for start in STARTS:
      for chosen in _batches(np.flatnonzero(length > start + 1)):
        index = _grid(first, length, chosen, start + horizon)
        guess = self._dream(
          tf.constant(games.state[index[:, : start + 1]], tf.int32),
          tf.constant(games.action[index], tf.int32),
        )
        parts = index[:, start], guess.numpy().astype(np.uint8)
        found.append([part[: len(chosen)] for part in parts])
    return tuple(map(np.concatenate, zip(*found, strict=True)))

  def _one_step(self, x, action):
    parameters, _ = self._unroll(x[:, :-1], action[:, :-1])
    coding = self._model.coding
    return coding.decode(parameters), coding.nats(parameters, x[:, 1:])

  def _unroll(self, x, action):
    model = self._model
    batch, steps = x.shape[0], tf.shape(x)[1]
    return model.unroll(
      x,
      tf.one_hot(action, model.action_size),
      tf.tile(tf.range(steps)[None] == 0, [batch, 1]),
      model.initial(batch),
    )

  def _open_loop(self, x, action):
    """Dreams [B, H, N] int32 of x [B, T, N] and action [B, T + H - 1]."""
    model = self._model
    given = tf.shape(x)[1]
    horizon = tf.shape(action)[1] - given + 1
    parameters, state = self._unroll(x, action[:, :given])
    guess = model.coding.decode(parameters)[:, -1]
    found = tf.TensorArray(tf.int32, horizon, element_shape=guess.shape)
    never = tf.zeros(x.shape[:1], tf.bool)

    def body(step, guess, state, found):
      taken = tf.one_hot(action[:, given + step - 1], model.action_size)
      parameters, state = model.step(guess, taken, never, state)
      guess = model.coding.decode(parameters)
      return step + 1, guess, state, found.write(step, guess)

    *_, found = tf.while_loop(
      lambda step, *_: step < horizon,
      body,
      (tf.constant(1), guess, list(state), found.write(0, guess)),
    )
    return tf.transpose(found.stack(), [1, 0, 2])


def starts(games) -> np.ndarray:
  """Indices of the states from which a model predicts open loop."""
  first, length = _spans(games)
  return np.concatenate([first[length > s + 1] + s for s in STARTS])


def has_future(games, now: np.ndarray, steps: int) -> np.ndarray:
  """Whether a game lasts some steps more; it may end with the last of them."""
  later = now + steps
  inside = later < len(games.game)
  return inside & (games.game[later * inside] == games.game[now])


def _spans(games):
  """First index and length of each game."""
  first = np.flatnonzero(games.is_first)
  return first, np.diff(np.append(first, len(games.game)))


def _batches(numbers):
  return [
    numbers[start : start + _BATCH] for start in range(0, len(numbers), _BATCH)
  ]


def _grid(first, length, chosen, steps):
  """[_BATCH, steps] indices, padded with last steps and with the first game."""
  chosen = np.concatenate(
    [chosen, np.full(_BATCH - len(chosen), chosen[0], np.int64)]
  )
  step = np.minimum(np.arange(steps), length[chosen][:, None] - 1)
  return first[chosen][:, None] + step
