"""Moving pictures: layout, marks of the end, and GIFs that open again."""

import io

import numpy as np
import pytest
from PIL import Image

from nca_tf.analysis import animation


def frames_of(steps=12, seed=0):
  """Smooth pictures in which a bright ball falls."""
  rng = np.random.default_rng(seed)
  y, x = np.mgrid[0:64, 0:64]
  frames = np.zeros((steps, 64, 64, 3), np.uint8)
  frames[:] = (40 + y[..., None] * [1, 0.5, 0.2]).astype(np.uint8)
  left = rng.integers(10, 50)
  for t in range(steps):
    frames[t, (y - 3 * t - 8) ** 2 + (x - left) ** 2 < 30] = (255, 160, 20)
  return frames


def opened(data):
  with Image.open(io.BytesIO(data)) as picture:
    pictures, durations = [], []
    for i in range(picture.n_frames):
      picture.seek(i)
      pictures.append(np.array(picture.convert('RGB')))
      durations.append(picture.info['duration'])
    return np.array(pictures), durations, picture.info.get('loop')


def test_columns_lie_side_by_side_enlarged():
  game, dream = frames_of(seed=1), frames_of(seed=2)
  page = animation.side_by_side({'game': game, 'dream': dream}, scale=2)
  gap, top = animation.GAP, animation.GAP + animation.HEADING
  assert page.dtype == np.uint8
  assert page.shape == (12, top + 128 + gap, 2 * 128 + 3 * gap, 3)
  for i, frames in enumerate((game, dream)):
    left = gap + i * (128 + gap)
    column = page[:, top : top + 128, left : left + 128]
    np.testing.assert_array_equal(column[:, ::2, ::2], frames)
    np.testing.assert_array_equal(column[:, 1::2, 1::2], frames)


def test_names_and_captions_are_written():
  frames = frames_of()
  named = animation.side_by_side({'game': frames}, scale=1)
  other = animation.side_by_side({'dream': frames}, scale=1)
  top = animation.GAP + animation.HEADING
  np.testing.assert_array_equal(named[:, top:], other[:, top:])
  assert np.any(named[:, :top] != other[:, :top])
  words = [f'step {t}' for t in range(12)]
  page = animation.side_by_side({'game': frames}, scale=1, captions=words)
  assert page.shape[1] == named.shape[1] + animation.CAPTION
  below = page[:, -animation.CAPTION - 2 :]
  assert len(np.unique(below.reshape(12, -1), axis=0)) == 12
  assert below.max() > 200


def test_the_end_of_an_episode_is_red():
  frames = frames_of()
  done = np.arange(12) >= 9
  page = animation.side_by_side(
    {'game': frames, 'dream': frames}, scale=1, done={'dream': done}
  )
  red = np.all(page == animation.RED, axis=-1)
  border = animation.GAP + animation.HEADING + 1
  for t in range(12):
    columns = np.flatnonzero(red[t, border])
    if done[t]:
      dream = 2 * animation.GAP + 64
      assert list(columns) == list(range(dream, dream + 64))
    else:
      assert not red[t].any()
  plain = animation.side_by_side({'game': frames, 'dream': frames}, scale=1)
  np.testing.assert_array_equal(page[~done], plain[~done])


@pytest.mark.parametrize('fps', [10, 15, 30])
def test_gif_opens_again_with_the_right_frames_and_length(fps):
  frames = frames_of(20)
  pictures, durations, loop = opened(animation.gif_bytes(frames, fps))
  assert pictures.shape == frames.shape
  assert loop == 0
  assert abs(sum(durations) - 20 * 1000 / fps) <= 5
  assert max(durations) - min(durations) <= 10
  error = np.abs(pictures.astype(int) - frames)
  assert error.mean() < 3


def test_frames_that_stand_still_keep_their_time():
  frames = frames_of(10)
  frames[5:] = frames[5]
  pictures, durations, _ = opened(animation.gif_bytes(frames, 10))
  assert len(pictures) == 6
  assert durations == [100] * 5 + [500]


def test_one_palette_serves_all_frames():
  frames = np.zeros((200, 8, 8, 3), np.uint8)
  frames[:100, :, :, 0] = 250  # First red, then blue, then a black end.
  frames[100:190, :, :, 2] = 250
  frames[np.arange(200), 0, np.arange(200) % 8] = 255  # Never still.
  pictures, _, _ = opened(animation.gif_bytes(frames, 20))
  assert len(pictures) == 200
  for t in (0, 99, 100, 189, 190):
    np.testing.assert_allclose(pictures[t, 4, 4], frames[t, 4, 4], atol=8)


def test_a_rare_colour_stays_what_it_is():
  grey = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1))
  frames = grey.repeat(3, -1).astype(np.uint8)
  frames[:, 5, 7] = (213, 94, 0)
  for colours, is_kept in (((), False), (('#D55E00',), True)):
    pictures, _, _ = opened(animation.gif_bytes(frames, 10, colours))
    assert np.array_equal(pictures[2, 5, 7], (213, 94, 0)) == is_kept


def test_gif_is_small_and_written_whole(tmp_path):
  frames = animation.side_by_side({'game': frames_of(30)}, scale=3)
  path = tmp_path / 'figures' / 'dream.gif'
  animation.write_gif(frames, path, fps=15)
  assert list(path.parent.iterdir()) == [path]
  assert path.stat().st_size < frames.nbytes / 20
  assert path.read_bytes() == animation.gif_bytes(frames, 15)


@pytest.mark.parametrize('budget', [60_000, 20_000])
def test_a_large_gif_keeps_within_its_budget(budget):
  frames = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
  assert len(animation.gif_bytes(frames, 10)) > 1.3 * budget
  data = animation.gif_bytes(frames, 10, budget=budget)
  assert budget / 3 < len(data) <= budget
  pictures, durations, _ = opened(data)
  assert (len(pictures) < 40) == (budget < 40_000)  # Colours go first.
  assert sum(durations) == 4000
  assert durations[-1] == 100  # The last frame is there, for its own time.
  for shown, frame in ((pictures[0], frames[0]), (pictures[-1], frames[-1])):
    assert np.abs(shown.astype(int) - frame).mean() < 40


def test_no_budget_is_too_small_for_the_first_and_the_last_frame():
  frames = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
  pictures, durations, _ = opened(animation.gif_bytes(frames, 10, budget=1))
  assert (len(pictures), durations) == (2, [400, 100])


def test_long_names_are_cut_where_their_column_ends():
  frames = frames_of(2)
  long = 'agent-vizdoom-dnc-reads-with-a-long-name'
  (page, *_) = animation.side_by_side({long: frames, 'b': frames}, scale=2)
  heading = page[: animation.HEADING]
  border = animation.GAP + 2 * 64
  assert np.all(heading[:, border : border + animation.GAP] == animation.PAPER)
  assert np.any(heading[:, border - 25 : border] > 200)


@pytest.mark.parametrize(
  'call, message',
  [
    (lambda f: animation.side_by_side({}), 'columns .*got none'),
    (
      lambda f: animation.side_by_side({'a': f, 'b': f[:2]}),
      r"one shape .*'b': \(2, 64, 64, 3\)",
    ),
    (
      lambda f: animation.side_by_side({'a': f / 255}),
      r"columns\['a'\] must be uint8, got float64",
    ),
    (lambda f: animation.side_by_side({'a': f}, scale=0), 'scale .*got 0'),
    (
      lambda f: animation.side_by_side({'a': f}, captions=['x']),
      'captions must be 12 texts, got 1',
    ),
    (
      lambda f: animation.side_by_side({'a': f}, done={'b': [True] * 12}),
      "done must have 12 values for names of columns, got 'b' with 12",
    ),
    (lambda f: animation.gif_bytes(f[:0]), r'T > 0, got \(0, 64, 64, 3\)'),
    (lambda f: animation.gif_bytes(f / 255), 'frames must be uint8, got float'),
    (lambda f: animation.gif_bytes(f, 60), 'fps .*at most 50, got 60'),
    (lambda f: animation.gif_bytes(f, 0), 'fps .*above 0 .*, got 0'),
    (lambda f: animation.gif_bytes(f, float('nan')), 'fps .*, got nan'),
    (lambda f: animation.gif_bytes(f, '15'), "fps must be a .*, got '15'"),
    (lambda f: animation.gif_bytes(f, budget=2.5), 'budget .*, got 2.5'),
    (lambda f: animation.side_by_side({'a': f}, scale=2.0), 'scale .*got 2.0'),
    (
      lambda f: animation.side_by_side({'a': f}, scale=True),
      'scale .*got True',
    ),
  ],
)
def test_wrong_values_are_named(call, message):
  with pytest.raises(ValueError, match=message):
    call(frames_of())
