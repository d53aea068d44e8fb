"""A played dream as a film, and as a line per lane."""

import numpy as np

from nca_tf.analysis import animation

_FILM_SPEED = 0.5
_PAGES = 600  # Of a film; of a longer one, steps are left out.
_SCALE = 4
_PAUSE = 1.0  # Seconds that the last page stays.


def describe(session) -> list[str]:
  """Returns a line per lane of a Session: how long it lived."""
  lines = []
  died, tics = session.died(), session.tics()
  for lane, end in enumerate(session.ends()):
    fate = f'survival {session.history[end].survival[lane]:.2f} after step'
    if died[lane]:
      fate = 'died in step'
    lines.append(f'dream {lane + 1}: {tics[lane]:.1f} tics, {fate} {end}')
  return lines


def draw(session, codec, label: str):
  """Draws the lanes of a played Session side by side, at half speed.

  Returns:
    uint8 [T', H, W, 3] and the frames per second; `label` says who played.
  """
  stride = -(-session.steps // _PAGES) or 1
  skip = session.spec.frame_skip
  fps = session.spec.tics_per_second * _FILM_SPEED / skip / stride
  chosen = np.arange(0, session.steps, stride)
  pause = np.full(max(1, round(_PAUSE * fps)), session.steps)
  chosen = np.concatenate([chosen, pause])
  film = None
  for lane, end in enumerate(session.ends()):
    steps = np.minimum(chosen, end)
    panel = _draw_lane(session, codec, lane, steps, f'{label} {lane + 1}')
    width = panel.shape[2]
    if film is None:
      lanes = len(session.over)
      film = np.empty((*panel.shape[:2], lanes * width, 3), np.uint8)
    film[:, :, lane * width : (lane + 1) * width] = panel
  return film, fps


def _draw_lane(session, codec, lane, steps, name):
  """The pages of one lane at steps [T']."""
  chosen = [session.history[step] for step in steps]
  dead = np.array([shown.terminated[lane] for shown in chosen])
  frames = codec.decode(np.stack([shown.z[lane] for shown in chosen]))
  captions = [
    f'step {step}  survival {shown.survival[lane]:.2f}  '
    f'p(done) {shown.done[lane]:.3f}'
    for step, shown in zip(steps, chosen, strict=True)
  ]
  return animation.side_by_side(
    {name: frames}, scale=_SCALE, captions=captions, done={name: dead}
  )
