"""A person steers a dream from the keyboard of a terminal."""

import time

import numpy as np

from nca_tf.experiments.dream import terminal

_HELP = 'left and right arrow, or a and d, steer; another key stops; q ends'
_TICS_PER_PICTURE = 4  # 8.75 pictures per second in Take Cover.
# A key that is held repeats, but only after a while: until then it counts as
# held, and so does one that was tapped.
_HOLD = 0.5  # Seconds.
_LEFT, _STAY, _RIGHT = 0, 1, 2
_STEERING = {'left': _LEFT, 'a': _LEFT, 'right': _RIGHT, 'd': _RIGHT}
_QUIT = ('q', 'closed')
_NAMES = ('<- left', '', 'right ->')


class Steering:
  """Moves of a person, from the keys pressed during each picture.

  steering = Steering(pictures=4)  # a key counts as held for so many
  move = steering.press(['left'])  # 0 left, 1 stay, 2 right; None: end
  """

  def __init__(self, pictures: int):
    """Starts with no move."""
    self._pictures = pictures
    self._move = _STAY
    self._left = 0

  def press(self, keys) -> int | None:
    """Returns the move after keys, in their order; there may be none."""
    if any(key.lower() in _QUIT for key in keys):
      return None
    if keys:
      self._move = _STEERING.get(keys[-1].lower(), _STAY)
      self._left = self._pictures
    else:
      self._left -= 1
      if self._left < 1:
        self._move = _STAY
    return self._move


def play(session, codec, steps: int):
  """Plays a new Session of one lane until it, the person or `steps` end."""
  skip = session.spec.frame_skip
  per_picture = max(1, round(_TICS_PER_PICTURE / skip))
  seconds = per_picture * skip / session.spec.tics_per_second
  steering = Steering(max(1, round(_HOLD / seconds)))
  session.warm_up()
  frame = codec.decode(session.history[-1].z)[0]
  with terminal.open_terminal() as screen:
    due, move = time.monotonic(), _STAY
    while session.steps < steps and not session.is_over:
      screen.draw(frame, [_status(session, move), _HELP])
      # A slow machine plays slowly, and does not hurry afterwards.
      due = max(due + seconds, time.monotonic())
      move = steering.press(screen.read_keys(due - time.monotonic()))
      if move is None:
        break
      continuous = session.spec.action_kind == 'continuous'
      action = np.float32(move - _STAY) if continuous else move
      for _ in range(min(per_picture, steps - session.steps)):
        if not session.is_over:
          session.step([action])
      frame = codec.decode(session.history[-1].z)[0]


def _status(session, move):
  shown = session.history[-1]
  return (
    f'step {session.steps}  {session.tics()[0]:.0f} tics  '
    f'survival {shown.survival[0]:.2f}  p(done) {shown.done[0]:.3f}  '
    f'{_NAMES[move]}'
  )
