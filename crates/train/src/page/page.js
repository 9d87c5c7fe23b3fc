const run = JSON.parse(document.getElementById('data').textContent);
const page = document.getElementById('page');

/* Head and configuration. */

function head() {
  const last = run.epochs[run.epochs.length - 1];
  const facts = [];
  if (run.config) facts.push(`preset ${run.config.preset}`, `seed ${run.config.training.seed}`);
  if (last) facts.push(`${last.epoch} epochs, ${last.step} steps`);
  if (run.best_epoch) facts.push(`best epoch ${run.best_epoch}`);
  facts.push(`ithn ${run.version}`);
  page.append(make('h1', {}, run.title), make('p', { class: 'faint' }, facts.join(' · ')));
}

function configuration() {
  if (!run.config) return;
  page.append(make('h2', {}, 'Configuration'), make('details', {},
    make('summary', {}, 'config.json'),
    make('pre', { tabindex: 0 }, JSON.stringify(run.config, null, 2))));
}

/* Final table. */

/** Whether findings were read by a labeler; a phantom's are exact. */
const real = (s) => s.findings_reader !== 'phantom';
/** Findings F1 to go by: exact on phantoms, else over the 13 abnormal classes, which files of earlier versions lack. */
function headline(s) { return real(s) ? s.findings_by_class?.f1_13_micro : s.findings_f1_micro; }

/** Name, number, and whether a narrow screen can do without it. */
const columns = [
  ['BLEU-1', (s) => s.bleu_1], ['BLEU-2', (s) => s.bleu_2, true], ['BLEU-3', (s) => s.bleu_3, true],
  ['BLEU-4', (s) => s.bleu_4], ['ROUGE-L', (s) => s.rouge_l], ['CIDEr', (s) => s.cider],
  ['BLEU-4 full', (s) => s.bleu_4_full, true], ['findings F1', headline],
  ['F1 macro', (s) => s.findings_by_class?.f1_13_macro], ['F1, 14 classes', (s) => real(s) ? s.findings_f1_micro : null, true],
  ['F1, 5 classes', (s) => s.findings_by_class?.f1_5_micro, true],
  ['changes right', (s) => s.comparisons?.changes ? s.comparisons.changes.right / Math.max(1, s.comparisons.changes.stated) : null],
  ['changes invented', (s) => s.comparisons?.changes?.invented, true],
  ['hallucinated priors', (s) => s.comparisons?.hallucinated, true],
  ['wrong side', (s) => s.laterality_errors, true], ['distinct', (s) => s.diversity.distinct],
  ['same report', (s) => s.diversity.most_frequent_share], ['studies', (s) => s.studies, true],
];

function scores() {
  if (run.table.length === 0) return;
  const known = columns.filter(([, read]) => run.table.some(([, s]) => Number.isFinite(read(s))));
  const style = (spare) => spare ? { class: 'spare' } : {};
  const cells = known.map(([, read, spare]) => [read, aligned(run.table.map(([, s]) => read(s))), spare]);
  const row = ([name, s]) => make('tr', { class: name === 'test' ? 'own' : null }, make('td', {}, name),
    ...cells.map(([read, write, spare]) => make('td', style(spare), write(read(s)))));
  page.append(make('h2', {}, 'Scores beside the floors'),
    make('p', { class: 'faint' }, `Protocol r2gen unless “full”; findings read by ${run.table[0][1].findings_reader}`
      + `${real(run.table[0][1]) ? '; findings F1 over the 13 abnormal classes, micro and macro' : ''}. `
      + '“Same report” is the share of the most frequent one. A floor needs no generator: what does not beat it has learnt nothing.'),
    ...run.warnings.map((line) => make('p', { class: 'warning' }, `Warning: ${line}.`)),
    make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Scores' }, make('table', { class: 'scores' },
      make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, ''),
        ...known.map(([name, , spare]) => make('th', { scope: 'col', ...style(spare) }, name.replaceAll('-', '\u2011'))))),
      make('tbody', {}, ...run.table.map(row)))),
    ...run.label_floors.map((line) => make('p', { class: 'faint' }, line)));
}

/* Charts: one value per epoch and line. */

const plots = [
  ['Loss', [['total', (e) => e.losses.total], ['language', (e) => e.losses.language],
    ['contrastive', (e) => e.losses.contrastive], ['separation', (e) => e.losses.separation]]],
  ['Similarity of image to', [['its report', (e) => e.alignment?.positive_similarity],
    ['first negative', (e) => e.alignment?.negative_similarity],
    ['hardened negative', (e) => e.alignment?.hardened_similarity]]],
  ['Hardness 1 − λ', [['1 − λ', (e) => e.alignment ? 1 - e.lambda : undefined]]],
  ['Log inverse temperatures', [['τ1, pairs', (e) => e.alignment?.tau_1], ['τ3, hardened', (e) => e.alignment?.tau_3]]],
  ['Validation', [['BLEU-4', (e) => e.validation.bleu_4], ['ROUGE-L', (e) => e.validation.rouge_l],
    ['findings F1', (e) => headline(e.validation)], ['same report', (e) => e.validation.diversity.most_frequent_share]]],
  ['Validation CIDEr', [['CIDEr', (e) => e.validation.cider]]],
  ['Gradient norm', [['mean', (e) => e.gradient_norm.mean], ['largest', (e) => e.gradient_norm.largest]]],
  ['Learning rate', [['backbone', (e) => e.learning_rates[0]], ['the rest', (e) => e.learning_rates[1]]]],
];

function chart(title, lines) {
  const shown = lines.map(([name, read], index) => ({ name, index, values: run.epochs.map(read) }))
    .filter((line) => line.values.some(Number.isFinite));
  if (shown.length === 0) return null;
  const all = shown.flatMap((line) => line.values).filter(Number.isFinite);
  let [low, high] = [Math.min(...all), Math.max(...all)];
  if (low > 0 && low < high * 0.6) low = 0;
  if (low === high) [low, high] = high > 0 ? [0, 2 * high] : [low - 0.5, high + 0.5];
  const [left, right, top, bottom] = [42, 326, 8, 132];
  const first = run.epochs[0].epoch;
  const span = Math.max(run.epochs[run.epochs.length - 1].epoch - first, 1);
  const x = (index) => left + (right - left) * (run.epochs[index].epoch - first) / span;
  const y = (value) => bottom - (bottom - top) * (value - low) / (high - low);
  const svg = draw('svg', { viewBox: '0 0 334 150', role: 'img', 'aria-label': `${title} by epoch` });
  const ticks = [low, (low + high) / 2, high];
  const digits = Math.min(Math.max(1 - Math.floor(Math.log10(high - low)), 0), 4);
  const tick = Math.abs(high) < 0.01 || high >= 10000 ? (value) => value.toExponential(1) : (value) => value.toFixed(digits);
  for (const value of ticks) {
    svg.append(draw('line', { class: 'axis', x1: left, x2: right, y1: y(value), y2: y(value) }),
      draw('text', { x: left - 4, y: y(value) + 3, 'text-anchor': 'end' }, tick(value)));
  }
  const best = run.epochs.findIndex((e) => e.epoch === run.best_epoch);
  if (best >= 0) svg.append(draw('line', { class: 'best', x1: x(best), x2: x(best), y1: top, y2: bottom }));
  for (const index of new Set([0, run.epochs.length - 1])) {
    svg.append(draw('text', { x: x(index), y: bottom + 13, 'text-anchor': 'middle' }, String(run.epochs[index].epoch)));
  }
  for (const line of shown) {
    const points = line.values.map((value, index) => Number.isFinite(value) ? `${x(index).toFixed(1)},${y(value).toFixed(1)}` : null)
      .filter(Boolean);
    const color = `var(--c${line.index})`;
    svg.append(draw('polyline', { points: points.join(' '), fill: 'none', style: `stroke:${color}`, 'stroke-width': 2 }));
    line.values.forEach((value, index) => {
      if (!Number.isFinite(value)) return;
      const dot = draw('circle', { cx: x(index).toFixed(1), cy: y(value).toFixed(1), r: 2.5, style: `fill:${color}` });
      dot.append(draw('title', {}, `epoch ${run.epochs[index].epoch}, ${line.name}: ${short(value)}`));
      svg.append(dot);
    });
  }
  const legend = make('div', { class: 'legend' }, ...shown.map((line) => make('span', {},
    make('i', { style: `color:var(--c${line.index})` }), `${line.name} ${short(line.values[line.values.length - 1])}`)));
  return make('figure', {}, make('figcaption', {}, make('h3', {}, title)), svg, legend);
}

/** How the similarities of single studies spread, as outlines of histograms. */
function spread() {
  if (!run.similarities) return null;
  const lines = [['its report', 'positive'], ['first negative', 'negative'], ['hardened negative', 'hardened']]
    .map(([name, key], index) => ({ name, index, values: run.similarities[key].filter(Number.isFinite) }))
    .filter((line) => line.values.length > 0);
  const all = lines.flatMap((line) => line.values);
  if (all.length === 0) return null;
  const low = Math.min(...all);
  const width = Math.max(Math.max(...all) - low, 1e-6);
  const bins = 24;
  const counts = lines.map((line) => {
    const count = new Array(bins).fill(0);
    for (const value of line.values) count[Math.min(bins - 1, Math.floor(bins * (value - low) / width))] += 1;
    return count;
  });
  const most = Math.max(...counts.flat());
  const [left, right, top, bottom] = [42, 326, 8, 132];
  const x = (bin) => left + (right - left) * bin / bins;
  const y = (count) => bottom - (bottom - top) * count / most;
  const svg = draw('svg', { viewBox: '0 0 334 150', role: 'img', 'aria-label': 'Histogram of similarities' });
  svg.append(draw('line', { class: 'axis', x1: left, x2: right, y1: bottom, y2: bottom }),
    draw('text', { x: left - 4, y: top + 3, 'text-anchor': 'end' }, String(most)),
    ...[0, bins / 2, bins].map((bin) => draw('text', { x: x(bin), y: bottom + 13, 'text-anchor': 'middle' }, (low + width * bin / bins).toFixed(2))));
  lines.forEach((line, at) => {
    const outline = counts[at].flatMap((count, bin) => [[x(bin), y(count)], [x(bin + 1), y(count)]]);
    const points = [[x(0), bottom], ...outline, [x(bins), bottom]].map((point) => point.map((value) => value.toFixed(1)).join(',')).join(' ');
    svg.append(draw('polygon', { points, style: `stroke:var(--c${line.index});fill:var(--c${line.index})`, 'fill-opacity': 0.12, 'stroke-width': 1.5 }));
  });
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const legend = make('div', { class: 'legend' }, ...lines.map((line) => make('span', {},
    make('i', { style: `color:var(--c${line.index})` }), `${line.name}, mean ${short(mean(line.values))}`)));
  const title = `Similarities of ${run.similarities.positive.length} training studies, best epoch, 1 − λ = ${short(1 - run.similarities.lambda)}`;
  return make('figure', {}, make('figcaption', {}, make('h3', {}, title)), svg, legend);
}

function training() {
  if (run.epochs.length === 0) return;
  page.append(make('h2', {}, 'Training'),
    make('p', { class: 'faint' }, 'By epoch; the dotted line is the best one, the numbers are those of the last.'),
    make('div', { class: 'charts' }, ...[...plots.map(([title, lines]) => chart(title, lines)), spread()].filter(Boolean)));
  const lines = plots.flatMap(([title, list]) => list.map(([name, read]) => [`${title}: ${name}`, read, aligned(run.epochs.map(read))]));
  page.append(make('details', {}, make('summary', {}, 'The same as a table'),
    make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Epochs' }, make('table', {},
      make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'epoch'),
        ...lines.map(([name]) => make('th', { scope: 'col' }, name)))),
      make('tbody', {}, ...run.epochs.map((e) => make('tr', {}, make('td', {}, String(e.epoch)),
        ...lines.map(([, read, write]) => make('td', {}, write(read(e)))))))))));
}

/* Studies. */

function studies() {
  if (run.studies.length === 0) return;
  const view = viewer();
  run.studies.forEach(view.add);
  const legend = run.studies.every((sheet) => !sheet.marks) ? [] : [' Sentences: ',
    ...Object.entries(names).flatMap(([mark, name]) => [make('span', { class: mark }, ` ${name} `), ' ']),
    'as far as the findings reader can tell.'];
  page.append(make('h2', { id: 'studies' }, 'Studies'), make('p', { class: 'faint' }, ...keys(), ...legend), view.element);
  view.open(0);
}

head();
scores();
training();
studies();
configuration();
