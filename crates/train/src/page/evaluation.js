const run = JSON.parse(document.getElementById('data').textContent);
const page = document.getElementById('page');

/* The page of an evaluation. */

const color = (system) => `var(--c${system % 6})`;
const digits = (value, count = 4) => value === null || value === undefined ? '–' : value.toFixed(count);
const names = { silent: 'no finding', agrees: 'agrees', partly: 'partly agrees', contradicts: 'contradicts' };

function head() {
  page.append(make('h1', {}, run.title), make('p', { class: 'faint' }, `ithn ${run.version}`),
    ...run.notes.map((note) => make('p', { class: 'faint' }, note)));
}

function region(name, table) {
  return make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': name }, table);
}

/* The table: a row for each number, a column for each system. */

function bestOf(row) {
  const values = row.cells.map((cell) => cell?.value ?? null);
  const known = values.filter((value) => value !== null).map((value) => value.toFixed(4));
  if (new Set(known).size < 2) return () => false;
  const best = (row.lower_is_better ? Math.min : Math.max)(...known.map(Number)).toFixed(4);
  return (system) => values[system] !== null && values[system].toFixed(4) === best;
}

function cellOf(cell, isBest) {
  const range = cell?.interval ? make('span', { class: 'range' }, `${digits(cell.interval[0])} to ${digits(cell.interval[1])}`) : null;
  return make('td', { class: isBest ? 'best' : null }, digits(cell?.value), range);
}

function numbers() {
  if (run.groups.length === 0) return;
  const body = run.groups.flatMap((group) => [
    make('tr', {}, make('th', { class: 'group', colspan: run.systems.length + 1, scope: 'colgroup' }, group.title)),
    ...group.rows.map((row) => {
      const isBest = bestOf(row);
      return make('tr', {}, make('td', {}, row.label), ...row.cells.map((cell, system) => cellOf(cell, isBest(system))));
    })]);
  page.append(make('h2', {}, 'Numbers'), region('Numbers', make('table', {},
    make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, ''),
      ...run.systems.map((name, system) => make('th', { scope: 'col', style: `color:${color(system)}` }, name)))),
    make('tbody', {}, ...body))));
}

function significance() {
  if (run.pairs.length === 0) return;
  page.append(make('h2', {}, 'Is it better?'));
  for (const pair of run.pairs) {
    const rows = pair.metrics.map((metric) => make('tr', { class: metric.holm_p_value < 0.05 ? 'own' : null },
      make('td', {}, metric.metric), make('td', {}, digits(metric.other)), make('td', {}, digits(metric.this)),
      make('td', {}, (metric.difference > 0 ? '+' : '') + digits(metric.difference)),
      make('td', {}, `${digits(metric.interval[0])} to ${digits(metric.interval[1])}`),
      make('td', {}, digits(metric.p_value)), make('td', {}, digits(metric.holm_p_value))));
    const columns = ['', pair.other, pair.this, 'difference', '95 % interval', 'p', 'p, Holm'];
    page.append(make('details', { open: run.pairs.length === 1 ? '' : null },
      make('summary', {}, `${pair.this} minus ${pair.other}`),
      region(`${pair.this} minus ${pair.other}`, make('table', {},
        make('thead', {}, make('tr', {}, ...columns.map((name) => make('th', { scope: 'col' }, name)))),
        make('tbody', {}, ...rows)))));
  }
}

/* F1 of every class, a bar for each system, with its interval. */

function bar(number, system, predicted) {
  const percent = (value) => `${(100 * Math.min(Math.max(value, 0), 1)).toFixed(2)}%`;
  const value = number.value ?? 0;
  const whisker = number.interval && number.interval[0] !== null ? make('i', {
    style: `left:${percent(number.interval[0])};width:${percent(number.interval[1] - number.interval[0])}`,
  }) : null;
  const range = number.interval ? `, ${digits(number.interval[0], 3)} to ${digits(number.interval[1], 3)}` : '';
  const text = `${run.systems[system]}: F1 ${digits(number.value, 3)}${range}; named in ${predicted}`;
  return make('div', { class: 'track', title: text, role: 'img', 'aria-label': text },
    make('b', { style: `width:${percent(value)};background:${color(system)}` }), whisker);
}

function classes() {
  const { title, classes: list } = run.classes;
  if (list.length === 0) return;
  page.append(make('h2', {}, 'F1 by class'), make('p', { class: 'faint' }, `${title}. Bars from 0 to 1, lines are 95 % intervals.`),
    make('div', { class: 'legend' }, ...run.systems.map((name, system) => make('span', {},
      make('i', { style: `color:${color(system)}` }), name))),
    make('div', { class: 'classes' }, ...list.flatMap((one) => [
      make('div', {}, one.name, make('span', { class: 'faint' }, ` ${one.support} true`)),
      make('div', {}, ...one.f1.map((number, system) => bar(number, system, one.predicted[system])))])));
}

/* Studies, the worst first. */

const errorsOf = (report) => report.sentences.filter(([, mark]) => mark === 'contradicts').length + report.missed.length;
const rougeOf = (report) => (report.scores.find(([name]) => name === 'rouge_l') ?? [])[1] ?? 0;

function detail(study) {
  const reports = study.reports.flatMap((report, system) => [
    make('div', { class: 'report', style: `border-color:${color(system)}` },
      make('h3', {}, run.systems[system]),
      report.sentences.length === 0 ? make('p', { class: 'faint' }, 'It wrote nothing.')
        : make('p', { class: 'text' }, ...report.sentences.map(([text, mark]) => make('span', { class: mark, title: names[mark] }, text))),
      report.missed.length > 0 ? make('p', {}, make('strong', {}, 'Missed: '), report.missed.join('; ')) : null,
      make('div', { class: 'numbers' }, ...report.scores.map(([name, value]) => make('span', {}, `${name} ${digits(value, 3)}`))))]);
  return [make('h3', {}, study.id), make('h3', {}, 'Reference'), make('p', { class: 'text report' }, study.reference), ...reports];
}

function studies() {
  if (run.studies.length === 0) return;
  const place = make('div', { id: 'study', 'aria-live': 'polite' });
  const list = make('nav', { class: 'list', 'aria-label': 'Studies' });
  let buttons = [];
  let shown = [];
  let open = 0;
  const show = (at) => {
    open = at;
    buttons.forEach((button, other) => button.setAttribute('aria-current', String(other === at)));
    place.replaceChildren(...(shown[at] ? detail(shown[at]) : [make('p', { class: 'faint' }, 'No study has this in its id or texts.')]));
  };
  const by = make('select', { id: 'by', on: { change: () => fill() } },
    ...run.systems.map((name, system) => make('option', { value: system }, name)));
  const wanted = make('input', { type: 'search', id: 'wanted', placeholder: 'id or words', on: { input: () => fill() } });
  const fill = () => {
    const system = Number(by.value);
    const words = wanted.value.trim().toLowerCase();
    const has = (study) => [study.id, study.reference, ...study.reports.flatMap((report) => report.sentences.map(([text]) => text))]
      .some((text) => text.toLowerCase().includes(words));
    shown = run.studies.filter((study) => words === '' || has(study)).sort((a, b) => {
      const [left, right] = [a.reports[system], b.reports[system]];
      return errorsOf(right) - errorsOf(left) || rougeOf(left) - rougeOf(right);
    });
    buttons = shown.map((study, at) => {
      const errors = errorsOf(study.reports[system]);
      return make('button', { type: 'button', on: { click: () => show(at) } },
        make('span', {}, study.id), make('span', { class: 'faint' }, errors === 0 ? '✓' : `${errors} ✗`));
    });
    list.replaceChildren(...buttons);
    show(0);
  };
  list.addEventListener('keydown', (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move === undefined || buttons.length === 0) return;
    event.preventDefault();
    show((open + move + buttons.length) % buttons.length);
    buttons[open].focus();
  });
  const count = run.studies.length < run.scored ? `The ${run.studies.length} worst of ${run.scored} studies` : `${run.scored} studies`;
  page.append(make('h2', { id: 'studies' }, 'Studies'),
    make('p', { class: 'faint' }, `${count}: most contradicted or missed findings first, then the lowest ROUGE-L. `,
      make('kbd', {}, '↑'), ' ', make('kbd', {}, '↓'), ' move between studies. Sentences: ',
      ...Object.entries(names).flatMap(([mark, name]) => [make('span', { class: mark }, ` ${name} `), ' ']),
      'as far as rules-14 can tell.'),
    make('p', { class: 'controls' }, run.systems.length > 1 ? make('label', {}, 'Worst of ', by) : null,
      make('label', {}, 'Find ', wanted)),
    make('div', { class: 'browser' }, list, place));
  fill();
}

head();
numbers();
significance();
classes();
studies();
