"""Episodes as a GIF or an MP4, with the score below the picture."""

import contextlib
import importlib.util
import os
import pathlib
import tempfile
import zlib

import numpy as np

from nca_tf.analysis import animation
from nca_tf.command_line import faults

_FASTEST = 20  # Frames per second; a film of a faster game skips some.
_PAUSE = 1.0  # Seconds that the last frame of an episode stays.
_SCALE = 4


def check(path: str):
  """Refuses a file that cannot be written, before anything is played."""
  suffix = pathlib.Path(path).suffix
  if suffix not in ('.gif', '.mp4'):
    raise faults.UsageError(
      f'--record must name a .gif or an .mp4 file, got {path!r}'
    )
  if pathlib.Path(path).is_dir():
    raise faults.UsageError(f'--record must name a file, got folder {path}')
  folder = pathlib.Path(path).absolute().parent
  while not os.path.lexists(folder):
    folder = folder.parent
  if not folder.is_dir() or not os.access(folder, os.W_OK):
    raise faults.UsageError(
      f'--record must name a file that can be written, got {path!r}: {folder} '
      'is no folder that can be'
    )
  for name in ('imageio', 'imageio_ffmpeg') if suffix == '.mp4' else ():
    if not importlib.util.find_spec(name):
      raise faults.UsageError(
        f"--record={path} needs {name}: pip install 'imageio[ffmpeg]', or name "
        'a .gif file, which needs nothing'
      )


def record(config, path: str) -> int:
  """Films the first `record_episodes` of a resolved `evaluate.Config`.

  They are played again. Returns the number of frames of the .gif or .mp4 file.
  """
  spec = config.game_spec
  # A film keeps the game's own pace.
  stride = max(1, round(spec.steps_per_second / _FASTEST))
  fps = spec.steps_per_second / stride
  results = config.play(0, config.record_episodes, record=True)
  with contextlib.closing(results):
    parts = [_cut(result, spec, stride, fps) for result in results]
  frames, captions, over = (
    [entry for part in parts for entry in part[i]] for i in range(3)
  )
  name = config.player.label
  film = animation.side_by_side(
    {name: np.stack(frames)},
    scale=_SCALE,
    captions=captions,
    done={name: np.array(over)},
  )
  _write(film, pathlib.Path(path), fps)
  return len(film)


def _cut(result, spec, stride: int, fps: float):
  """Returns frames, captions and whether the episode is over, of each."""
  pixels = np.frombuffer(zlib.decompress(result.frames), np.uint8)
  frames = pixels.reshape(-1, *spec.observation_shape)
  scores = np.concatenate([[0], np.cumsum(result.rewards)])
  last = len(frames) - 1
  chosen = [*range(0, last, stride), *[last] * max(1, round(_PAUSE * fps))]
  return (
    [frames[t] for t in chosen],
    [f'episode {result.index + 1}, score {scores[t]:.0f}' for t in chosen],
    [t == last and result.terminated for t in chosen],
  )


def _write(film, path: pathlib.Path, fps: float):
  if path.suffix == '.gif':
    animation.write_gif(film, path, fps)
    return
  import imageio

  path.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=path.parent) as folder:
    partial = pathlib.Path(folder) / path.name
    # The encoder takes even sizes only; a border makes up for the rest.
    imageio.mimwrite(partial, film, fps=fps, macro_block_size=2)
    os.replace(partial, path)
