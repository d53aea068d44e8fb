"""DNC, LSTM and untrained M compared: equal data, equal V, equal budget.

For every seed one set of rollouts and one V; for every cell one M; for every
setting of `comparison.SETTINGS` one controller, evolved in the dream of its M
and scored on the same real episodes as the others. Each stage resumes and is
done once.
"""

import functools

import numpy as np

from nca_tf import files
from nca_tf import random_numbers
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.cells import report
from nca_tf.experiments.cells import settings
from nca_tf.experiments.controller import dream_check
from nca_tf.experiments.controller import run as controller_run
from nca_tf.experiments.controller import settings as controller_settings
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.world_model import run as world_model_run
from nca_tf.experiments.world_model import settings as world_model_settings
from nca_tf.play import score
from nca_tf.runs import run as run_lib
from nca_tf.world_model import forecast as forecast_lib
from nca_tf.world_model import measures
from nca_tf.world_model import world_model as world_model_lib


def run(config: settings.Config) -> None:
  """Makes what the run folder lacks, and reports."""
  name = config.run_name
  with run_lib.start(config, settings.NAME, name, config.env) as run:
    comparison = Comparison(run)
    run.stage('policies', comparison.play_policies)
    for seed in config.seeds:
      comparison.make(seed)
    report.publish(comparison)
    run.goodbye(
      Runs=f'{run.path}/seed-*',
      Next=config.next_command(run.path),
    )


class Comparison:
  """Runs of every setting with every seed, and what they found.

  Seed k has the folder `seed-k/` with a run folder of train_world_model per
  cell, `world_model-CELL/`, and one of train_controller per setting,
  `controller-SETTING/`; `policies/` has what the scripted policies played.

  Attributes:
    run: The open run, whose config is a settings.Config.
    settings: What is compared, comparison.Setting.
  """

  def __init__(self, run: run_lib.Run):
    self.run = run
    self.settings = run.config.compared
    self._config = run.config
    self._spec = run.config.game_spec

  def play_policies(self):
    """Every scripted policy plays the final episodes of the first seed."""
    folder = self.run.path / 'policies'
    folder.mkdir(exist_ok=True)
    found = {}
    for name in self._spec.policies:
      config = config_flags.convert(
        self._config,
        evaluate.Config,
        policy=name,
        seed=random_numbers.derive(self._config.seed, 'final'),
        episodes=self._config.final_episodes,
      )
      episodes = score.play(config, folder / f'{name}.jsonl')
      found[name] = [episode['score'] for episode in episodes]
    return found

  def make(self, seed):
    """Does what is not finished of a seed."""
    stage, do = self.run.stage, functools.partial
    for cell in self._config.cell_names:
      stage(
        f'world_model-{seed}-{cell}',
        do(self._learn, seed, cell),
        do(self._is_learnt, seed, cell),
      )
    for each in self.settings:
      stage(f'check-{seed}-{each.model}', do(self._check, seed, each))
    for each in self.settings:
      stage(f'controller-{seed}-{each.name}', do(self._evolve, seed, each))

  def _learn(self, seed, cell):
    """One M per cell; the first one's rollouts and V are those of all."""
    cells = self._config.cell_names
    turn = f'world model {cells.index(cell) + 1} of {len(cells)}'
    self._announce(seed, turn, cell)
    world_model_run.train(self._model_config(seed, cell))

  def _is_learnt(self, seed, cell):
    """Whether M and its latents are there, where anybody still needs them."""
    mine = (each for each in self.settings if each.cell == cell)
    is_over = all(
      self.run.is_finished(f'check-{seed}-{each.model}')
      and self.run.is_finished(f'controller-{seed}-{each.name}')
      for each in mine
    )
    try:
      if not is_over:
        world_model_lib.WorldModel.load(self._path(seed, f'world_model-{cell}'))
    except (faults.Fault, faults.UsageError) as error:
      faults.warn(str(error))
      return False
    return True

  def _check(self, seed, setting):
    """Scripted policies in the dream of an M, and its held-out measures."""
    self._announce(seed, 'dream check', setting.model)
    config = self._controller_config(seed, setting)
    model = controller_run.load_world_model(config, config.world_model)
    dreamt = dream_check.play_dream(model, config)
    game = self.run.info('policies')
    fault = dream_check.find_fault(dreamt, game, self._spec)
    if fault:  # Also such a dream is a result here: nothing is refused.
      print(f'warning: {fault}', flush=True)
    _, latents = world_model_lib.read_latents(
      config.world_model, self._config.held_out
    )
    measured = _measure(model.model, latents, seed)
    # `complaint` is named as in older runs.
    return {'dream': dreamt, 'complaint': fault, **measured}

  def _evolve(self, seed, setting):
    """One controller per setting, scored on the final episodes of the seed."""
    turn = f'setting {self.settings.index(setting) + 1} of {len(self.settings)}'
    self._announce(seed, turn, setting.name)
    controller_run.run(self._controller_config(seed, setting))
    path = self._path(seed, f'controller-{setting.name}')
    episodes = score.read_episodes(path / 'episodes.jsonl')
    evaluations = path / 'iteration-1' / 'evolution-1' / 'looks.json'
    return {
      'played': {str(each['seed']): each['score'] for each in episodes},
      # Named as in older runs.
      'looks': files.read_json(evaluations),
    }

  def policies(self) -> dict[str, list[float]]:
    """Scores of the scripted policies, the best first."""
    found = self.run.info('policies')
    return dict(sorted(found.items(), key=lambda item: -np.mean(item[1])))

  def played(self, setting):
    """The final scores of a setting by episode, one dict per seed."""
    return [
      found['played'] for found in self._found('controller', setting.name)
    ]

  def evaluations(self, setting):
    """Generations, and each one's scores: one list of episodes per seed."""
    each = [found['looks'] for found in self._found('controller', setting.name)]
    return (
      [int(generation) for generation in each[0]],
      [[scores[generation] for scores in each] for generation in each[0]],
    )

  def checks(self, model):
    """What the dream checks of an M found, one dict per seed."""
    return self._found('check', model)

  def _found(self, stage, name):
    seeds = self._config.seeds
    return [self.run.info(f'{stage}-{seed}-{name}') for seed in seeds]

  def _announce(self, seed, what, name):
    seeds = self._config.seeds
    print(
      f'\n{settings.NAME}: seed {seed} ({seeds.index(seed) + 1} of '
      f'{len(seeds)}), {what}: {name}',
      flush=True,
    )

  def _path(self, seed, name):
    # In full, so that the same folder resumes from wherever it is named.
    return self.run.path.resolve() / f'seed-{seed}' / name

  def _model_config(self, seed, cell):
    first = self._config.cell_names[0]
    origin = self._path(seed, f'world_model-{first}')
    given = {}
    if cell != first:
      given['rollouts'] = (str(origin / 'rollouts'),)
      given['initial_vision'] = str(origin)
    return config_flags.convert(
      self._config,
      world_model_settings.Config,
      run_dir=str(self._path(seed, f'world_model-{cell}')),
      seed=self._config.seed + seed,
      cell=cell,
      **given,
    )

  def _controller_config(self, seed, setting):
    return config_flags.convert(
      self._config,
      controller_settings.Config,
      env='',  # That of the world model.
      run_dir=str(self._path(seed, f'controller-{setting.name}')),
      seed=self._config.seed + seed,
      world_model=str(self._path(seed, f'world_model-{setting.cell}')),
      features=setting.features,
      untrained=setting.untrained,
      iterations=1,
      check_episodes=0,  # `check` has done it, once for each M.
    )


def _measure(model, latents, seed):
  """Held-out measures of M one step ahead, z drawn: NLL and done AUC."""
  noise = random_numbers.generator(seed, 'held-out latents')
  episodes = forecast_lib.pad(latents, model.action_size, noise)
  forecasts = forecast_lib.forecast(model, episodes, horizon=1)
  groups = measures.done_scores(forecasts, episodes)
  return {
    'nll': measures.likelihood(forecasts, episodes).mean(),
    'done_auc': measures.done_measures(groups, seed)['auc'].mean,
  }
