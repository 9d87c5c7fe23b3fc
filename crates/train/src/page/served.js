const server = JSON.parse(document.getElementById('data').textContent);
const page = document.getElementById('page');

/** Requests at once; the server queues more than these anyway. */
const AT_ONCE = 4;
/** Times that a film is sent again to a full server. */
const MOST_TRIES = 20;

const plural = (count, word, words = `${word}s`) => `${count} ${count === 1 ? word : words}`;
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const statuses = { positive: ['present', 'present'], uncertain: ['uncertain', 'uncertain'], negative: ['absent', 'absent'] };
const order = Object.keys(statuses);

/* What follows a report: the rest of what the server said of the study. */

function status({ class: kind, status: name }) {
  // Of the class that denies all others, "present" would read as a finding.
  const [word, style] = kind === 'no_finding' ? ['stated', 'absent'] : statuses[name];
  return make('span', { class: `status ${style}` }, word);
}

function table(caption, heads, rows) {
  return make('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, make('table', { class: 'left' },
    make('thead', {}, make('tr', {}, ...heads.map((name) => make('th', { scope: 'col' }, name)))),
    make('tbody', {}, ...rows)));
}

/** Where a report mentions a class: its words, and side, size and lobe if it says them. */
function said(mention) {
  const details = [mention.size, mention.side, mention.lobe].filter(Boolean).join(', ').replaceAll('_', ' ');
  return `“${mention.words}”${details ? ` (${details})` : ''}`;
}

function findings({ labels, mentions, labeler }) {
  // Without any finding that class says so; with one it has nothing to add.
  const spoken = labels.filter((label) => label.class !== 'no_finding' || label.status !== 'negative');
  const rows = spoken.sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status))
    .map((label) => make('tr', {}, make('th', { scope: 'row' }, label.name), make('td', {}, status(label)),
      make('td', { class: 'said' }, mentions.filter((mention) => mention.class === label.class).map(said).join('; '))));
  return [make('h3', {}, 'Findings of this report'),
    make('p', { class: 'faint' }, `Read from the words of the report by the rules of ${labeler}, not from the film.`),
    table('Findings of this report', ['finding', 'status', 'words'], rows)];
}

function otherReports(reports) {
  if (reports.length < 2) return [];
  const present = (report) => report.findings.labels.filter((label) => label.status !== 'negative').map((label) => label.name).join(', ');
  const rows = reports.map((report, index) => make('tr', {}, make('td', {}, String(index + 1)),
    make('td', { class: 'score' }, report.score.toFixed(3)),
    make('td', { class: 'said' }, report.text || '(no word)'), make('td', { class: 'said' }, present(report))));
  return [make('h3', {}, `The ${reports.length} best reports`),
    make('p', { class: 'faint' }, 'The score ranks them: the sum of log-probabilities in nats, after penalties; higher is better.'),
    table('The best reports', ['rank', 'score', 'report', 'present or uncertain'], rows)];
}

function after({ study }) {
  const [best] = study.reports;
  return [
    study.unused_films.length > 0 ? make('p', { class: 'warning' },
      `Not used: ${study.unused_films.join(', ')}. This checkpoint reads ${plural(server.views, 'film')} of a study${
        reads.prior_films > 0 ? ` and ${reads.prior_films} of the previous one` : ''}.`) : null,
    best.finished ? null : make('p', { class: 'warning' }, 'The report did not end by itself: it was cut at the greatest length.'),
    ...findings(best.findings), ...otherReports(study.reports),
  ].filter((part) => part !== null);
}

/* What is known of a study beside its films. */

const reads = server.reads ?? { prior_films: 0, prior_report: false, indication: false };
const readsPrior = reads.prior_films > 0 || reads.prior_report;
const field = (name, kind, attributes = {}) => make(kind, { id: name, name, ...attributes });
const known = [
  ['projections', server.reads, 'Projection of each film, in their order', () => field('projections', 'input', { placeholder: 'PA,LATERAL' })],
  ['indication', reads.indication, 'Indication', () => field('indication', 'input', { placeholder: 'fever, cough' })],
  ['prior_film', reads.prior_films > 0, `Films of the previous study (${reads.prior_films} at most are read)`,
    () => field('prior_film', 'input', { type: 'file', multiple: '', accept: server.accepts })],
  ['prior_report', reads.prior_report, 'Report of the previous study', () => field('prior_report', 'textarea', { rows: 3 })],
  ['prior_days', readsPrior, 'Days from the previous study to this one', () => field('prior_days', 'input', { type: 'number', min: 0, step: 1 })],
].filter(([, read]) => read).map(([name, , label, create]) => ({ name, label, input: create() }));

function context() {
  if (known.length === 0) return null;
  return make('fieldset', { class: 'known' }, make('legend', {}, 'Known of the next study'),
    make('p', { class: 'faint' }, 'To be filled in before its films are dropped, and as far as it is known. It goes with one study and is emptied then.'),
    ...known.map(({ name, label, input: element }) => make('div', {}, make('label', { for: name }, label), element)));
}

/** The fields that are filled in, as pairs of name and value; they are empty afterwards. */
function takeContext() {
  const pairs = known.flatMap(({ name, input: element }) => (element.files ? [...element.files].map((file) => [name, file])
    : element.value.trim() === '' ? [] : [[name, element.value]]));
  for (const { input: element } of known) element.value = '';
  return pairs;
}

/* Films on their way. */

const view = viewer({ heading: 'Report', after });
const reports = make('section', { hidden: '', 'aria-labelledby': 'studies' }, make('h2', { id: 'studies' }, 'Reports'),
  make('p', { class: 'faint' }, ...keys()), view.element);
const progress = make('span', { role: 'status' });
const troubles = make('ul', { class: 'troubles', role: 'alert' });
const forget = make('button', { type: 'button', hidden: '', on: { click: clear } }, 'Forget all');
let [sent, done, failed, batch] = [0, 0, 0, 0];

function say() {
  const failures = failed > 0 ? `, ${failed} of them without a report` : '';
  progress.textContent = sent === 0 ? '' : done === sent ? `${plural(done, 'study', 'studies')} done${failures}`
    : `${done} of ${plural(sent, 'study', 'studies')} done${failures} …`;
  forget.hidden = sent === 0;
}

function trouble(text) {
  troubles.append(make('li', {}, text));
}

/** Before further films: what went wrong with those before them has been read. */
function freshen() {
  if (done === sent) troubles.replaceChildren();
}

function clear() {
  batch += 1;
  [sent, done, failed] = [0, 0, 0];
  takeContext();
  view.clear();
  troubles.replaceChildren();
  reports.hidden = true;
  say();
  input.focus();
}

/** Sends the films of a study and what is known beside them; returns what the server says, or throws its reason. */
async function ask(films, beside) {
  const form = new FormData();
  for (const film of films) form.append('film', film, film.name);
  for (const [name, value] of beside) form.append(name, value);
  for (let tries = 1; ; tries += 1) {
    let answer;
    try {
      answer = await fetch('v1/report?explain=true', { method: 'POST', body: form });
    } catch {
      throw new Error('the server does not answer; is it still running?');
    }
    if (answer.status === 503 && tries < MOST_TRIES) {
      await wait(Number(answer.headers.get('Retry-After') ?? 1));
      continue;
    }
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    return said;
  }
}

/** The report of a study as the viewer shows it, or null, with the reason among the troubles. */
async function report(films, beside) {
  const names = films.map((film) => film.name).join(', ');
  try {
    const all = [...films, ...beside.map(([, value]) => value)];
    const bytes = all.reduce((sum, part) => sum + (part.size ?? part.length), 0);
    if (bytes > server.most_bytes) {
      throw new Error(`${(bytes / 2 ** 20).toFixed(0)} MiB are more than the ${server.most_bytes / 2 ** 20} MiB that the server takes`);
    }
    const study = await ask(films, beside);
    return { ...study.sheet, study };
  } catch (error) {
    const isNamed = films.some((film) => error.message.includes(film.name));
    return { trouble: isNamed ? error.message : `${names}: ${error.message}` };
  }
}

/** Sends films and shows their reports in the order of the films, each as soon as those before it are there. */
async function take(files) {
  const films = [...files];
  if (films.length === 0) return;
  const together = films.length > 1 && document.getElementById('together').checked;
  const studies = together ? [films] : films.map((film) => [film]);
  const filled = known.some(({ input: element }) => element.value.trim() !== '');
  if (filled && studies.length > 1) {
    trouble(`${films.length} films came as studies of their own, and what is known is of one study: drop one film, or choose the views of one study`);
    return;
  }
  const beside = takeContext();
  const mine = batch;
  const ready = new Map();
  let [next, shown] = [0, 0];
  sent += studies.length;
  say();
  const show = () => {
    for (; ready.has(shown); shown += 1) {
      const sheet = ready.get(shown);
      ready.delete(shown);
      done += 1;
      if (sheet.trouble) {
        failed += 1;
        trouble(sheet.trouble);
        continue;
      }
      view.add(sheet);
      reports.hidden = false;
      if (view.sheets.length === 1) view.open(0);
    }
    say();
  };
  const work = async () => {
    while (next < studies.length && mine === batch) {
      const place = next;
      next += 1;
      const sheet = await report(studies[place], beside);
      if (mine !== batch) return;
      ready.set(place, sheet);
      show();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/* The page. */

const input = make('input', { type: 'file', id: 'films', multiple: '', accept: server.accepts, 'aria-describedby': 'kinds', on: {
  change: () => {
    const films = [...input.files];
    input.value = '';
    freshen();
    take(films);
  },
} });
const drop = make('div', { class: 'drop' },
  input, make('label', { for: 'films' }, make('strong', {}, 'Drop films here'), ' or ', make('span', {}, 'choose films')),
  make('p', { class: 'faint', id: 'kinds' }, `${server.kinds}; ${server.most_bytes / 2 ** 20} MiB and ${server.most_megapixels} megapixels at most. `
    + 'Films stay in the memory of this computer and are stored nowhere.'));

function several() {
  const only = server.views === 1;
  const choice = (id, text, checked, disabled = false) => make('label', {}, make('input', {
    type: 'radio', name: 'several', id, checked: checked ? '' : null, disabled: disabled ? '' : null,
  }), ` ${text}`);
  return make('fieldset', {}, make('legend', {}, 'Several films at once are'),
    choice('separate', 'studies of their own', only),
    choice('together', only ? 'the views of one study (this checkpoint reads one film of a study)'
      : `the views of one study, in the order of their list: the first ${server.views} are read, more are left out`, !only, only));
}

function start() {
  let inside = 0;
  const carriesFiles = (event) => [...event.dataTransfer.types].includes('Files');
  const mark = (change) => {
    inside = Math.max(0, inside + change);
    drop.classList.toggle('over', inside > 0);
  };
  // The whole page takes films: beside the frame a browser would leave the page and show the film.
  addEventListener('dragenter', (event) => { if (carriesFiles(event)) mark(1); });
  addEventListener('dragleave', (event) => { if (carriesFiles(event)) mark(-1); });
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    mark(-inside);
    freshen();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    const folders = entries.filter((entry) => entry?.isDirectory).map((entry) => entry.name);
    for (const name of folders) trouble(`${name} is a folder: drop the films in it`);
    take([...event.dataTransfer.files].filter((file) => !folders.includes(file.name)));
  });
  page.append(make('h1', {}, server.title),
    make('p', { class: 'notice', role: 'note' }, make('strong', {}, server.notice), ' ', server.trained_on.join(' ')),
    ...[context(), drop, several()].filter((part) => part !== null), make('div', { class: 'progress' }, progress, forget), troubles, reports,
    make('h2', {}, 'The checkpoint'), make('table', { class: 'facts' }, make('tbody', {}, ...server.facts.map(([name, text]) =>
      make('tr', {}, make('th', { scope: 'row' }, name), make('td', {}, text))))));
}

start();
