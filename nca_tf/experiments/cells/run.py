"""DNC, LSTM and untrained M compared: equal data, equal V, equal budget.

For every seed one set of rollouts and one V; for every cell one M; for every
setting of `comparison.SETTINGS` several controllers, each searched for in the
dream of its M and scored on the same real episodes as those of the other
settings. Each stage resumes and is done once.
"""

import functools
import pathlib

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
  cell, `world_model-CELL/`, and some of train_controller per setting,
  `controller-SETTING-1/` and so on; `policies/` has what the scripted policies
  played.

  Attributes:
    run: The open run, whose config is a settings.Config.
    settings: What is compared, comparison.Setting.
  """

  def __init__(self, run: run_lib.Run):
    self.run = run
    self.settings = run.config.compared
    self._config = run.config
    self._spec = run.config.game_spec
    self._runs = range(1, run.config.runs + 1)

  def play_policies(self):
    """Every scripted policy plays the final episodes of one search."""
    folder = self.run.path / 'policies'
    folder.mkdir(exist_ok=True)
    found = {}
    for name in self._spec.policies:
      config = config_flags.convert(
        self._config,
        evaluate.Config,
        policy=name,
        seed=random_numbers.derive(self._search_seed(0, 1), 'final'),
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
      for run in self._runs:
        name = self._stage(seed, each, run)
        stage(name, do(self._evolve, seed, each, run))

  def _learn(self, seed, cell):
    """One M per cell; the first one's rollouts and V are those of all."""
    cells = self._config.cell_names
    turn = f'world model {cells.index(cell) + 1} of {len(cells)}'
    self._announce(seed, turn, cell)
    world_model_run.train(self._model_config(seed, cell))

  def _is_learnt(self, seed, cell):
    """Whether M and its latents are there, where anybody still needs them."""
    is_over = all(
      self.run.is_finished(f'check-{seed}-{each.model}')
      and self.run.is_finished(self._stage(seed, each, run))
      for each in self.settings
      if cell in each.cells
      for run in self._runs
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
    config = self._controller_config(seed, setting, 1)
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
    weights = int(model.model.count_params())
    return {
      'dream': dreamt,
      'complaint': fault,
      'weights': weights,
      **measured,
    }

  def _evolve(self, seed, setting, run):
    """One controller, scored on the final episodes of this seed and run."""
    turn = f'setting {self.settings.index(setting) + 1} of {len(self.settings)}'
    turn = f'{turn}, run {run} of {len(self._runs)}'
    self._announce(seed, turn, setting.name)
    config = self._controller_config(seed, setting, run)
    controller_run.run(config)
    path = pathlib.Path(config.run_dir)
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
    """The final scores of a setting, a comparison.Played per seed."""
    return [
      [found['played'] for found in runs] for runs in self._searches(setting)
    ]

  def evaluations(self, setting):
    """Generations, and each one's scores: one list of episodes per seed."""
    searches = self._searches(setting)
    generations = list(searches[0][0]['looks'])

    def join(runs, generation):
      return [score for found in runs for score in found['looks'][generation]]

    return (
      [int(generation) for generation in generations],
      [[join(runs, each) for runs in searches] for each in generations],
    )

  def checks(self, model):
    """What the dream checks of an M found, one dict per seed."""
    seeds = self._config.seeds
    return [self.run.info(f'check-{seed}-{model}') for seed in seeds]

  def _searches(self, setting):
    """What the searches of a setting found, one list of dicts per seed."""
    info, seeds = self.run.info, self._config.seeds
    return [
      [info(self._stage(seed, setting, run)) for run in self._runs]
      for seed in seeds
    ]

  def _stage(self, seed, setting, run):
    return f'controller-{seed}-{setting.name}-{run}'

  def _search_seed(self, seed, run):
    """Of a search and its episodes, the same for all settings."""
    return random_numbers.derive(self._config.seed + seed, f'run {run}')

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

  def _controller_config(self, seed, setting, run):
    dream_of = ''
    if setting.dream:
      dream_of = str(self._path(seed, f'world_model-{setting.dream}'))
    return config_flags.convert(
      self._config,
      controller_settings.Config,
      env='',  # That of the world model.
      run_dir=str(self._path(seed, f'controller-{setting.name}-{run}')),
      seed=self._search_seed(seed, run),
      world_model=str(self._path(seed, f'world_model-{setting.cell}')),
      dream_of=dream_of,
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
