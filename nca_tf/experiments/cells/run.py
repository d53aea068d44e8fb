"""The stages of compare_cells; each one resumes and is done once."""

import dataclasses
import json

import numpy as np

from nca_tf import random_numbers
from nca_tf.experiments.cells import comparison as cell_settings
from nca_tf.experiments.controller import dream_check
from nca_tf.experiments.controller import evolution as controller_evolution
from nca_tf.experiments.controller import run as controller_stages
from nca_tf.experiments.controller import settings as train_controller
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.world_model import run as world_model_stages
from nca_tf.experiments.world_model import settings as train_world_model
from nca_tf.play import score
from nca_tf.runs import metrics
from nca_tf.runs import run_folder
from nca_tf.world_model import forecast as forecast_lib
from nca_tf.world_model import measures as evaluation

NAME = 'compare_cells'


def share(config, config_class, **settings):
  """Another experiment's Config: what both have in common, and `settings`."""
  names = {field.name for field in dataclasses.fields(config_class)}
  common = {
    field.name: getattr(config, field.name)
    for field in dataclasses.fields(config)
    if field.name in names
  }
  return config_class(**{**common, **settings})


class Stages:
  """One comparison: what is finished is loaded, what is not is made.

  Seed k has the folder `seed-k/` with a run folder of train_world_model per
  cell, `world_model-CELL/`, and one of train_controller per setting,
  `controller-SETTING/`; `policies/` has what the scripted policies played.
  """

  def __init__(self, config, folder, log):
    """Takes the configuration, the open run folder and its metrics log."""
    self.config = config
    self.folder = folder
    self.log = log
    self.spec = config.game_spec
    self.settings = [
      setting
      for setting in cell_settings.SETTINGS
      if setting.name in config.settings
    ]
    self.cells = list(dict.fromkeys(each.cell for each in self.settings))

  def play_policies(self):
    """Every scripted policy plays the final episodes of the first seed."""
    if self.folder.is_finished('policies'):
      return
    folder = self.folder.path / 'policies'
    folder.mkdir(exist_ok=True)
    found = {}
    for name in self.spec.policies:
      settings = share(
        self.config,
        evaluate.Config,
        policy=name,
        seed=int(random_numbers.key(self.config.seed, 'final')[0]),
        episodes=self.config.final_episodes,
      )
      episodes = score.play(settings, folder / f'{name}.jsonl')
      found[name] = [episode['score'] for episode in episodes]
    self.folder.finish('policies', found)

  def learn(self, seed):
    """One M per cell; the first one's rollouts and V are those of all."""
    for turn, cell in enumerate(self.cells):
      stage = f'world_model-{seed}-{cell}'
      if self.folder.is_finished(stage):
        continue
      self._announce(seed, f'world model {turn + 1} of {len(self.cells)}', cell)
      settings = self._model_config(seed, cell)
      with run_folder.RunFolder.open(
        settings, train_world_model.NAME, ''
      ) as folder:
        log = metrics.MetricsLog(folder.path, folder.tensorboard)
        stages = world_model_stages.Stages(settings, folder, log)
        stages.collect()
        stages.train_vision()
        stages.encode()
        stages.train_model()
      self.folder.finish(stage)

  def check(self, seed):
    """Scripted policies in each dream, and M's held-out measures."""
    game = self.folder.info('policies')
    for setting in self.settings:
      stage = f'check-{seed}-{setting.model}'
      if self.folder.is_finished(stage):
        continue
      self._announce(seed, 'dream check', setting.model)
      config = self._controller_config(seed, setting)
      model = controller_stages.Stages(config, None, None).world_model(1)
      dream = controller_evolution.make_dream(model, config)
      dreamt = dream_check.play_dream(model, dream, config.seed)
      complaint = dream_check.complain(dreamt, game, self.spec.time_limit)
      if complaint:  # Also such a dream is a result here: nothing is refused.
        print(f'warning: {complaint}', flush=True)
      self.folder.finish(
        stage,
        {'dream': dreamt, 'complaint': complaint, **_measure(model, seed)},
      )

  def evolve(self, seed):
    """One controller per setting, scored on the final episodes of the seed."""
    for turn, setting in enumerate(self.settings):
      stage = f'controller-{seed}-{setting.name}'
      if self.folder.is_finished(stage):
        continue
      self._announce(
        seed, f'setting {turn + 1} of {len(self.settings)}', setting.name
      )
      config = self._controller_config(seed, setting)
      train_controller.run(config)
      path = self._path(seed, f'controller-{setting.name}')
      lines = (path / 'episodes.jsonl').read_text().splitlines()
      looks = path / 'iteration-1' / 'evolution-1' / 'looks.json'
      self.folder.finish(
        stage,
        {
          'played': {
            str(episode['seed']): episode['score']
            for episode in map(json.loads, lines)
          },
          'looks': json.loads(looks.read_text()),
        },
      )

  def played(self, setting):
    """The final scores of a setting by episode, one dict per seed."""
    return [
      self.folder.info(f'controller-{seed}-{setting.name}')['played']
      for seed in self.config.seeds
    ]

  def looks(self, setting):
    """Generations, and each one's scores: one list of episodes per seed."""
    each = [
      self.folder.info(f'controller-{seed}-{setting.name}')['looks']
      for seed in self.config.seeds
    ]
    return (
      [int(generation) for generation in each[0]],
      [[looks[generation] for looks in each] for generation in each[0]],
    )

  def checks(self, model):
    """What the dream checks of an M found, one dict per seed."""
    return [
      self.folder.info(f'check-{seed}-{model}') for seed in self.config.seeds
    ]

  def _announce(self, seed, what, name):
    seeds = self.config.seeds
    print(
      f'\n{NAME}: seed {seed} ({seeds.index(seed) + 1} of {len(seeds)}), '
      f'{what}: {name}',
      flush=True,
    )

  def _path(self, seed, name):
    # In full, so that the same folder resumes from wherever it is named.
    return self.folder.path.resolve() / f'seed-{seed}' / name

  def _model_config(self, seed, cell):
    origin = self._path(seed, f'world_model-{self.cells[0]}')
    given = {}
    if cell != self.cells[0]:
      given['rollouts'] = (str(origin / 'rollouts'),)
      given['initial_vision'] = str(origin)
    return share(
      self.config,
      train_world_model.Config,
      run_dir=str(self._path(seed, f'world_model-{cell}')),
      seed=self.config.seed + seed,
      cell=cell,
      **given,
    )

  def _controller_config(self, seed, setting):
    return share(
      self.config,
      train_controller.Config,
      run_dir=str(self._path(seed, f'controller-{setting.name}')),
      seed=self.config.seed + seed,
      world_model=str(self._path(seed, f'world_model-{setting.cell}')),
      features=setting.features,
      untrained=setting.untrained,
      iterations=1,
      check_episodes=0,  # `check` has done it, once for each M.
    )


def _measure(world_model, seed):
  """Held-out measures of M one step ahead, z drawn: NLL and done AUC."""
  noise = np.random.default_rng((seed, 1))
  episodes = forecast_lib.pad(
    world_model.held_out_latents, world_model.model.action_size, noise
  )
  forecasts = forecast_lib.forecast(world_model.model, episodes, horizon=1)
  groups = evaluation.done_scores(forecasts, episodes)
  return {
    'nll': evaluation.likelihood(forecasts, episodes).mean(),
    'done_auc': evaluation.done_measures(groups, seed)['auc'].mean,
  }
