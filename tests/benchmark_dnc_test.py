"""bin/benchmark dnc: a whole small run without peers, and its report."""

import json
import sys

import pytest

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.benchmarks.dnc import report
from nca_tf.experiments.benchmarks.dnc import run as benchmark_dnc
from nca_tf.experiments.benchmarks.dnc import settings


def config(folder, *argv):
  return config_flags.resolve(
    settings.Config, [f'--run_dir={folder}', '--preset=smoke', *argv]
  )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('benchmark') / 'run'
  return folder, benchmark_dnc.run(config(folder, '--contestants=nca_tf'))


def test_all_parts_are_measured_and_reported(finished, monkeypatch):
  folder, results = finished
  assert json.loads((folder / 'results.json').read_text()) == results
  one = results['settings/tiny']['contestants']['nca_tf']
  assert len(one['seconds']) == 2 and min(one['seconds']) > 0
  assert one['peak'] > one['rest'] > 1e8
  assert 0.3 < one['loss'] < 1.5
  assert list(results['growth/heads']['contestants']['nca_tf']) == ['1', '2']
  lengths = results['memory/tiny']['contestants']['nca_tf']
  assert lengths['400'] > lengths['8'] > 10**6
  assert (folder / 'figures' / 'growth.png').stat().st_size > 1000
  assert '| nca_tf ' in (folder / 'results.md').read_text()
  monkeypatch.setattr(benchmark_dnc.peers_lib, 'PeerProcess', None)
  again = benchmark_dnc.run(config(folder, '--contestants=nca_tf'))
  assert again == results


def measured(seconds, peak):
  return {
    'seconds': [3 * seconds, seconds],
    'peak': peak,
    'rest': 10**8,
    'first': 1.0,
    'loss': 0.7,
  }


def test_report_judges_speed_and_memory():
  title = 'N64 W32 R4 B16 T50'
  stage = {
    'sizes': settings.SIZES[title],
    'contestants': {
      'nca_tf': measured(0.04, 3 * 10**8),
      'pytorch-dnc': measured(0.4, 2 * 10**8),
      'deepmind/dnc': measured(0.1, 4 * 10**8),
    },
  }
  text = report.make({f'settings/{title}': stage}).markdown()
  rows = [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in text.splitlines()
    if line.startswith('|')
  ]
  assert ['nca_tf', '50.00', '100.00', '10.00', '2.50'] == rows[2][:5]
  assert rows[2][6] == '200'
  met = {row[0]: row[2:] for row in rows}
  assert met[f'{title}: speed over pytorch-dnc'] == ['10.00', 'yes']
  assert met[f'{title}: speed over deepmind/dnc'] == ['2.50', 'no']
  assert met[f'{title}: working memory over that of pytorch-dnc'][1] == 'no'
  assert met[f'{title}: working memory over that of deepmind/dnc'][1] == 'yes'


def test_report_judges_what_a_step_keeps():
  title = 'N256 W64 R4 B4'
  base, _ = settings.LENGTHS[title]
  numbers = 256 * 256 + 256 * 64 + 2 * 256
  lengths = {
    str(count): 10**8 + round(1.25 * 4 * numbers * 4 * count)
    for count in (64, 256, 2000)
  }
  stage = {'base': base, 'contestants': {'nca_tf': lengths}}
  text = report.make({f'memory/{title}': stage}).markdown()
  assert ': a step adds, of N N + N W + h + c numbers: nca_tf 1.25.' in text
  assert '| 2000 |' in text
  assert f'| {title}: kept of a step over N N + N W + h + c |' in text
  assert '| at most 1.3 |     1.25 | yes |' in text
  assert '| at most 6   |     3.40 | yes |' in text
  lengths['2000'] = 7 * 10**9
  text = report.make({f'memory/{title}': stage}).markdown()
  assert '| at most 6   |     7.00 | no  |' in text


def test_peers_need_their_sources(tmp_path):
  with pytest.raises(faults.UsageError, match='--pytorch_dnc must be a folder'):
    config(tmp_path, f'--pytorch_dnc={tmp_path}')
  package = tmp_path / 'dnc'
  package.mkdir()
  (package / 'dnc.py').touch()
  chosen = config(tmp_path, f'--deepmind_dnc={tmp_path}')
  found = benchmark_dnc._find_implementations(chosen)
  assert found['deepmind/dnc'] == (sys.executable, str(tmp_path))


def test_memory_over_the_length_is_of_this_library_alone(tmp_path):
  chosen = config(tmp_path, '--contestants=keras LSTM')
  stages = benchmark_dnc._stages(chosen, {})
  assert list(stages) == ['settings/tiny', 'growth/heads']
