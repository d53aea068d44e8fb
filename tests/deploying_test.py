"""Every export: in TensorFlow Lite, by bad inputs, batches; docs/deploying.md.

tests/export_test.py and tests/agent_export_test.py load them where TensorFlow
is alone.
"""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf import environments
from nca_tf.memory import cells
from nca_tf.memory import sequence_model
from nca_tf.saved_models import export
from nca_tf.saved_models import screen as screen_lib
from nca_tf.world_model import agent as agent_lib
from nca_tf.world_model import codec
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import mixture
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import vision as vision_lib

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / 'docs' / 'deploying.md').read_text(encoding='utf-8')
Z, A, F, LANES, STEPS = 4, 3, 2, 6, 3
GAME = environments.get_spec('vizdoom')
INFO = {'env': 'vizdoom', 'action_kind': 'discrete', 'frame_skip': 1}
SMALL = {'memory_slots': 6, 'word_size': 4, 'read_heads': 2}
# What TensorFlow Lite's built-in operations can do, by export.
LITE = {
  'vision': ('encode', 'decode'),
  'model': ('initial_state', 'predict'),
  'agent': ('initial_state', 'parameters', 'act', 'act_screen'),
  'sequence': ('initial_state', 'step'),
}
RECURRENT = {
  'predict': 'model',
  'act': 'agent',
  'act_screen': 'agent',
  'step': 'sequence',
}


class Exports:
  """Live models of one kind of cell, and their SavedModels in a folder."""

  def __init__(self, cell, folder):
    keras.utils.set_random_seed(3)
    self.folder, self._loaded, self._lite = folder, {}, {}
    self.vision = vision_lib.VisionModel(Z, 'light')
    self.vision.build()
    made = cells.make(cell, 8, **SMALL)
    self.model = model_lib.MemoryModel(made, Z, A, 2, reward=True)
    self.model.build()
    features = self.model.features(self.model.initial(1))
    sizes = {'z': Z, **{name: x.shape[-1] for name, x in features.items()}}
    controller = controller_lib.LinearController(sizes, A)
    self.agent = agent_lib.Agent(self.vision, self.model, controller)
    drawn = np.random.default_rng(5).normal(size=controller.size)
    self.parameters = (3 * drawn).astype(np.float32)
    self.sequence = sequence_model.make(cell, 8, F, 5, **SMALL)
    export.export_vision(self.vision, folder / 'vision')
    export.export_model(self.model, folder / 'model')
    export.export_agent(self.agent, self.parameters, folder / 'agent', INFO)
    export.export_sequence_model(self.sequence, F, folder / 'sequence')

  def signatures(self, kind):
    if kind not in self._loaded:
      path = str(self.folder / kind)
      self._loaded[kind] = tf.saved_model.load(path)
    return self._loaded[kind].signatures

  def lite(self, kind):
    """TensorFlow Lite's runners of an export by name."""
    if kind not in self._lite:
      interpreter = tf.lite.Interpreter(
        model_content=convert(self.folder / kind, *LITE[kind])
      )
      self._lite[kind] = {
        name: interpreter.get_signature_runner(name) for name in LITE[kind]
      }
    return self._lite[kind]

  def live(self, name, inputs, state):
    """What a recurrent signature should give: outputs, and the next state."""
    if name == 'step':
      structure = self.sequence.get_initial_state(1)
      state = tf.nest.pack_sequence_as(structure, state)
      outputs, state = self.sequence.step(inputs['inputs'], state)
      return {'outputs': outputs}, tf.nest.flatten(state)
    if name == 'predict':
      known = (inputs[key] for key in ('z', 'action', 'is_first'))
      prediction, state = self.model.step(*known, state)
      outputs = {
        **prediction.latent._asdict(),
        'next_mean': mixture.mixture_mean(prediction.latent),
        'done_probability': tf.sigmoid(prediction.done_logit),
        'reward': prediction.reward,
      }
      return outputs, state
    frames = inputs.get('frames')
    if frames is None:
      frames = screen_lib.observe(tf.constant(inputs['screen']), GAME)
    first = tf.constant(inputs['is_first'])
    action, state = self.agent.act(frames, self.parameters, first, state)
    return {'action': action}, state


@pytest.fixture(scope='module', params=cells.names())
def exports(request, tmp_path_factory):
  return Exports(request.param, tmp_path_factory.mktemp(request.param))


def convert(folder, *signatures):
  converter = tf.lite.TFLiteConverter.from_saved_model(
    str(folder), signature_keys=list(signatures)
  )
  return converter.convert()


def make_inputs(signature, lanes=LANES, seed=0):
  """Inputs of a signature, but for its state."""
  random = np.random.default_rng(seed)
  actions = np.eye(A, dtype=np.float32)[random.integers(A, size=(lanes, STEPS))]
  every = {
    'frames': random.integers(0, 256, (lanes, 64, 64, 3), dtype=np.uint8),
    'screen': random.integers(0, 256, (lanes, 120, 160, 3), dtype=np.uint8),
    'z': random.normal(size=(lanes, Z)).astype(np.float32),
    'inputs': random.normal(size=(lanes, F)).astype(np.float32),
    'is_first': np.zeros(lanes, bool),
    'temperature': np.float32(1.2),
    'seed': np.array([3, 4], np.int32),
  }
  _, specs = signature.structured_input_signature
  if 'action' in specs:
    flat = specs['action'].shape.rank == 2
    every['action'] = actions[:, 0] if flat else actions
  return {name: value for name, value in every.items() if name in specs}


@pytest.mark.filterwarnings('ignore:.*tf.lite.Interpreter is deprecated')
@pytest.mark.parametrize('name', RECURRENT)
def test_steps_in_tensorflow_lite_are_the_live_ones(exports, name):
  kind = RECURRENT[name]
  runners, signature = exports.lite(kind), exports.signatures(kind)[name]
  state = runners['initial_state'](batch=np.int32(LANES))
  cell = exports.sequence.cell if kind == 'sequence' else exports.model.cell
  names = cells.state_names(cell)
  live = [tf.constant(state[key]) for key in names]
  assert not any(np.any(part) for part in live)
  for t in range(STEPS):
    inputs = make_inputs(signature, seed=t)
    if 'is_first' in state:
      assert state['is_first'].all() == (t == 0)
      inputs['is_first'] = state.pop('is_first')
    found = runners[name](**inputs, **state)
    wanted, live = exports.live(name, inputs, live)
    wanted |= {
      f'next_{key}': part for key, part in zip(names, live, strict=True)
    }
    assert set(found) - {'next_is_first'} == set(wanted)
    for key, value in wanted.items():
      np.testing.assert_allclose(found[key], value, atol=1e-5, err_msg=key)
    state = {
      key.removeprefix('next_'): value
      for key, value in found.items()
      if key.startswith('next_') and key != 'next_mean'
    }
  assert any(np.std(value) > 0 for value in state.values())


@pytest.mark.filterwarnings('ignore:.*tf.lite.Interpreter is deprecated')
def test_v_and_parameters_in_tensorflow_lite_are_the_live_ones(exports):
  runners, live = exports.lite('vision'), codec.Codec(exports.vision, LANES)
  frames = make_inputs(exports.signatures('vision')['encode'])['frames']
  found = runners['encode'](frames=frames)
  mean, log_variance = live.encode(frames)
  np.testing.assert_allclose(found['mean'], mean, atol=1e-5)
  np.testing.assert_allclose(found['log_variance'], log_variance, atol=1e-5)
  drawn = runners['decode'](z=mean)['frames'].astype(int)
  assert np.abs(drawn - live.decode(mean)).max() <= 1  # A rounding.
  np.testing.assert_array_equal(
    exports.lite('agent')['parameters']()['parameters'], exports.parameters
  )


def test_what_tensorflow_lite_lacks_stands_in_the_document(exports):
  rows = re.findall(r'^\| (`[^|]+) \| ([^|]+) \|$', DOCUMENT, re.MULTILINE)
  rows = {name: set(re.findall('`([A-Za-z]\\w+)`', row)) for name, row in rows}
  lacking = [('model', 'step', '`step` of `model`')]
  if 'link' in cells.state_names(exports.model.cell):
    lacking.append(('agent', 'act_as', '`act_as` with a DNC'))
  for kind, name, title in lacking:
    with pytest.raises(Exception, match='TF Select ops: ') as info:
      convert(exports.folder / kind, name)
    found = re.search('TF Select ops: (.*)', str(info.value)).group(1)
    assert set(found.split(', ')) == rows[title], title


@pytest.mark.parametrize(
  ('kind', 'name'),
  [
    ('vision', 'encode'),
    ('vision', 'decode'),
    ('model', 'predict'),
    ('model', 'step'),
    ('model', 'dream'),
    ('agent', 'act'),
    ('agent', 'act_as'),
    ('agent', 'act_screen'),
    ('sequence', 'step'),
  ],
)
def test_lanes_do_not_know_of_each_other(exports, kind, name):
  signature = exports.signatures(kind)[name]
  inputs = make_inputs(signature)
  if kind != 'vision':
    begin = exports.signatures(kind)['initial_state']
    inputs = {**begin(batch=tf.constant(LANES)), **inputs}
  if name == 'act_as':
    inputs['parameters'] = np.stack([exports.parameters] * LANES)

  def cut(lanes):
    return {
      key: tf.constant(
        value[:lanes] if np.ndim(value) and key != 'seed' else value
      )
      for key, value in inputs.items()
    }

  whole = signature(**cut(LANES))
  for lanes in (1, 4):
    for key, value in signature(**cut(lanes)).items():
      np.testing.assert_allclose(
        value, whole[key][:lanes], atol=2e-6, err_msg=key
      )
  frames = {'frames', 'screen'} & set(inputs)
  if not frames:
    for key, value in signature(**cut(0)).items():
      assert value.shape[0] == 0, key
    return
  with pytest.raises(tf.errors.InvalidArgumentError) as info:
    signature(**cut(0))
  line = f'{frames.pop()} must be of a batch size of at least 1, got] [0]'
  assert line in str(info.value)


TEMPERATURE = 'temperature must be a finite number above 0, got'
FRAMES = r'Shape of tensor frames \[{}\] is not compatible .* \[\?,64,64,3\]'
BAD = [
  *(
    (kind, name, {'temperature': np.float32(value)}, TEMPERATURE)
    for kind, name in (('model', 'step'), ('model', 'dream'))
    for value in (-1, 0, np.nan, np.inf, -np.inf)
  ),
  *(
    (kind, name, {'frames': np.zeros(shape, np.uint8)}, FRAMES.format(text))
    for kind, name in (('vision', 'encode'), ('agent', 'act'))
    for shape, text in (
      # oneDNN's convolution would end the process.
      ((64, 64, 3), '64,64,3'),
      # 'light' would take them for frames.
      ((LANES, 62, 62, 3), '.*62,62,3'),
      ((LANES, 64, 64, 4), '.*64,64,4'),
    )
  ),
  *(
    (
      kind,
      name,
      {'frames': np.zeros((LANES, 64, 64, 3), np.float32)},
      'a uint8',
    )
    for kind, name in (('vision', 'encode'), ('agent', 'act'))
  ),
  ('vision', 'decode', {'z': np.zeros((2, Z + 1), np.float32)}, 'of tensor z'),
  ('model', 'initial_state', {'batch': np.int32(-1)}, 'batch must be a number'),
  (
    'model',
    'dream',
    {'action': np.zeros((LANES, 0, A), np.float32)},
    'action must be of a number of steps of at least 1',
  ),
  (
    'model',
    'step',
    {'action': np.zeros((LANES, A - 1), np.float32)},
    'Shape of tensor action',
  ),
  (
    'model',
    'predict',
    {'h': np.zeros((LANES + 1, 8), np.float32)},
    r'h, .*z must have one batch size, got\] \[.*6 .*7 .*6',
  ),
  ('model', 'step', {'z': np.zeros((1, Z), np.float32)}, 'one batch size'),
  (
    'agent',
    'act_screen',
    {'screen': np.zeros((LANES, 100, 160, 3), np.uint8)},
    'Shape of tensor screen',
  ),
  ('agent', 'act', {'is_first': np.ones(1, bool)}, 'one batch size'),
  (
    'agent',
    'act_as',
    {'parameters': np.zeros((LANES, 2), np.float32)},
    'Shape of tensor parameters',
  ),
  (
    'sequence',
    'step',
    {'inputs': np.zeros((LANES, F + 1), np.float32)},
    'inputs',
  ),
]


@pytest.mark.parametrize(('kind', 'name', 'change', 'message'), BAD)
def test_bad_inputs_are_refused_in_one_line(
  exports, kind, name, change, message
):
  signature = exports.signatures(kind)[name]
  inputs = make_inputs(signature)
  if kind != 'vision' and name != 'initial_state':
    begin = exports.signatures(kind)['initial_state']
    inputs = {**begin(batch=tf.constant(LANES)), **inputs}
  if name == 'act_as':
    inputs['parameters'] = exports.parameters[None]  # For all lanes.
  inputs = {key: tf.constant(value) for key, value in inputs.items()}
  if name != 'initial_state':
    signature(**inputs)
  inputs |= {key: tf.constant(value) for key, value in change.items()}
  with pytest.raises(tf.errors.InvalidArgumentError) as info:
    signature(**inputs)
  lines = str(info.value).splitlines()
  assert any(re.search(message, line) for line in lines), lines


@pytest.mark.filterwarnings('ignore:.*tf.lite.Interpreter is deprecated')
def test_the_document_s_code_runs(exports):
  mark = '<!-- Run by tests/deploying_test.py. -->'
  blocks = re.findall(
    rf'{re.escape(mark)}\n```python\n(.*?)```', DOCUMENT, re.DOTALL
  )
  assert len(blocks) == DOCUMENT.count('```python') == 3
  agent, lite, draw = blocks
  agent, replaced = re.subn(
    r"^folder = '.*'$",
    f'folder = {str(exports.folder / "agent")!r}',
    agent,
    flags=re.MULTILINE,
  )
  assert replaced == 1
  encode = exports.signatures('vision')['encode']
  scope = {'frames': make_inputs(encode)['frames']}
  exec(agent, scope)
  state = scope['state']
  assert not state['is_first'].numpy().any()
  exec(lite, scope)
  np.testing.assert_array_equal(scope['out']['action'], scope['action'])
  for name, value in state.items():
    np.testing.assert_allclose(
      scope['out'][f'next_{name}'], value, atol=1e-5, err_msg=name
    )
  exec(draw, scope)
  random = np.random.default_rng(0)
  many = {
    'logits': np.log(np.broadcast_to([0.2, 0.8], (20_000, 1, 2))),
    'loc': np.broadcast_to([-3.0, 1.0], (20_000, 1, 2)),
    'scale': np.broadcast_to([0.5, 2.0], (20_000, 1, 2)),
  }
  drawn = scope['draw'](many, 1.0, random)
  assert drawn.shape == (20_000, 1) and drawn.dtype == np.float32
  assert abs(drawn.mean() - 0.2) < 0.1
  wanted = 0.2 * (9 + 0.25) + 0.8 * (1 + 4) - 0.2**2
  assert abs(drawn.var() - wanted) < 0.2


def test_the_document_names_every_signature(exports):
  table = DOCUMENT.split('## Signatures')[1].split('\nFrames are')[0]
  rows = re.findall(r'^\|(.*?)\| `(\w+)` \|', table, re.MULTILINE)
  found, kind = {}, ''
  for first, name in rows:
    kind = first.strip(' `') or kind
    found.setdefault(kind, set()).add(name)
  found['sequence'] = found.pop('memory task')
  assert found == {kind: set(exports.signatures(kind)) for kind in LITE}
