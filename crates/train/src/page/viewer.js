/* The viewer of studies: the run's page and the served page have it. */

const state = { study: 0, word: 0, layer: 'mean', shown: true };

function decode(text) {
  const raw = atob(text);
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

/** What a film is called: those of the previous study come last. */
function film(sheet, view) {
  const own = sheet.images.length - (sheet.prior_images ?? 0);
  if (view >= own) return `previous study, film ${view - own + 1}`;
  return `view ${view + 1}`;
}

/** Attention of a word to the patches of a view, in 0 to 1: a layer's, or the mean of all. */
function map(sheet, word, view) {
  const maps = sheet.attention;
  sheet.bytes ??= decode(maps.values);
  const size = maps.rows * maps.columns;
  const views = sheet.images.length;
  const layers = state.layer === 'mean' ? [...Array(maps.layers).keys()] : [Number(state.layer)];
  const sums = new Float64Array(size);
  for (const layer of layers) {
    const start = ((layer * sheet.words.length + word) * views + view) * size;
    for (let patch = 0; patch < size; patch += 1) sums[patch] += sheet.bytes[start + patch];
  }
  return sums.map((sum) => sum / 255 / layers.length * maps.peak);
}

/** Colours of a heat-map, from nothing over red to yellow, by share of the strongest patch. */
function colour(share) {
  return [255, Math.round(235 * Math.max(0, share * 1.6 - 0.6)), 40, Math.round(215 * share ** 1.3)];
}

/** A bar of the heat-map's colours, from no attention to the strongest patch. */
function scale() {
  const stops = [...Array(11).keys()].map((tenth) => {
    const [red, green, blue, alpha] = colour(tenth / 10);
    return `rgb(${red} ${green} ${blue} / ${(alpha / 255).toFixed(2)})`;
  });
  const most = make('span', { id: 'most' });
  const bar = make('i');
  bar.style.backgroundImage = `linear-gradient(to right, ${stops.join(', ')})`;
  return { most, scale: make('span', { class: 'scale faint' }, '0 %', bar, most) };
}

/** Paints the heat-maps of the chosen word; the share of the strongest patch and in words how strong it is. */
function paint(sheet, canvases) {
  if (!sheet.attention || sheet.words.length === 0) return ['', ''];
  const { rows, columns } = sheet.attention;
  const maps = canvases.map((_, view) => map(sheet, state.word, view));
  const peak = Math.max(...maps.flatMap((values) => [...values]), 1e-9);
  canvases.forEach((canvas, view) => {
    const small = document.createElement('canvas');
    [small.width, small.height] = [columns, rows];
    const image = new ImageData(columns, rows);
    maps[view].forEach((value, patch) => image.data.set(colour(value / peak), patch * 4));
    small.getContext('2d').putImageData(image, 0, 0);
    const context = canvas.getContext('2d');
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
    canvas.setAttribute('aria-label', `Attention of “${sheet.words[state.word]}”, ${film(sheet, view)}`);
  });
  const even = 1 / (rows * columns * canvases.length);
  return [`${(100 * peak).toFixed(1)} %`,
    `of the attention of “${sheet.words[state.word]}” to one patch; spread evenly: ${(100 * even).toFixed(1)} %`];
}

function memoryRows(sheet) {
  const rows = sheet.memory?.[state.word] ?? [];
  if (rows.length === 0) return [];
  const largest = rows[0][1];
  return [make('h3', {}, `Memory rows before “${sheet.words[state.word]}”`), ...rows.map(([row, share]) => make('div', { class: 'bar' },
    make('span', {}, `row ${row}`), make('span', {}, make('b', { style: `width:${(100 * share / largest).toFixed(1)}%` })),
    make('span', {}, `${(100 * share).toFixed(1)} %`)))];
}

const names = { agrees: 'agrees with the reference', partly: 'agrees in part', contradicts: 'contradicts the reference' };

/** The prediction as buttons, one per word, grouped by sentence. */
function prediction(sheet, heading, choose) {
  const buttons = sheet.words.map((word, index) => make('button', {
    type: 'button', 'aria-pressed': String(index === state.word), tabindex: index === state.word ? 0 : -1,
    title: `p = ${Math.exp(sheet.log_probs[index] ?? 0).toFixed(2)}`, on: { click: () => choose(index) },
  }, word));
  const sentences = sheet.marks?.sentences ?? [[sheet.words.length, 'silent']];
  let at = 0;
  const spans = sentences.map(([length, mark]) => {
    const span = make('span', { class: mark, title: names[mark] }, ...buttons.slice(at, at + length));
    at += length;
    return span;
  });
  const text = make('div', { class: 'text', role: 'group', 'aria-label': `${heading}, word by word` }, ...spans);
  text.addEventListener('keydown', (event) => {
    const moves = { ArrowRight: 1, ArrowLeft: -1, Home: -state.word, End: buttons.length - 1 - state.word };
    if (!(event.key in moves)) return;
    event.preventDefault();
    choose(Math.min(Math.max(state.word + moves[event.key], 0), buttons.length - 1));
    buttons[state.word].focus();
  });
  return { text, buttons };
}

function detail(sheet, heading) {
  const canvases = sheet.images.map(() => make('canvas', { width: 336, height: 336, role: 'img', 'aria-label': 'No attention' }));
  const rows = make('div', { id: 'memory', 'aria-live': 'polite' });
  const strength = make('span', { class: 'faint' });
  const { most, scale: legend } = scale();
  const repaint = () => {
    [most.textContent, strength.textContent] = paint(sheet, canvases);
    for (const canvas of canvases) canvas.hidden = !state.shown;
  };
  const choose = (word) => {
    state.word = word;
    buttons.forEach((button, index) => {
      button.setAttribute('aria-pressed', String(index === word));
      button.tabIndex = index === word ? 0 : -1;
    });
    repaint();
    rows.replaceChildren(...memoryRows(sheet));
  };
  const { text, buttons } = prediction(sheet, heading, choose);
  const layers = sheet.attention ? make('label', {}, 'Layer ', make('select', {
    id: 'layer', on: { change: (event) => { state.layer = event.target.value; repaint(); } },
  }, ...['mean', ...Array(sheet.attention.layers).keys()].map((layer) => make('option', {
    value: layer, selected: String(layer) === String(state.layer) ? '' : null,
  }, layer === 'mean' ? 'mean of all' : `${layer + 1} of ${sheet.attention.layers}`)))) : null;
  const toggle = sheet.attention ? make('label', {}, make('input', {
    type: 'checkbox', id: 'shown', checked: state.shown ? '' : null, on: { change: (event) => { state.shown = event.target.checked; repaint(); } },
  }), ' heat-map') : null;
  const missed = sheet.marks?.missed ?? [];
  const parts = [
    make('h3', {}, sheet.id),
    make('div', { class: 'views' }, ...sheet.images.map((source, view) => {
      const image = make('img', { alt: `${sheet.id}, ${film(sheet, view)}, as the model saw it` });
      image.src = source;
      const picture = make('div', { class: 'view' }, image, canvases[view]);
      return (sheet.prior_images ?? 0) === 0 ? picture
        : make('figure', {}, picture, make('figcaption', { class: 'faint' }, film(sheet, view)));
    })),
    ...(sheet.beside ?? []).map(([name, text]) => make('p', {}, make('strong', {}, `${name}: `), text)),
    sheet.attention ? make('p', { class: 'controls' }, layers, toggle, legend, strength)
      : make('p', { class: 'faint' }, 'This generator shows no attention.'),
    make('h3', {}, heading),
    sheet.words.length === 0 ? make('p', { class: 'faint' }, 'It wrote nothing.') : text,
    missed.length > 0 ? make('p', {}, make('strong', {}, 'Missed: '), missed.join('; ')) : null,
    sheet.reference === null ? null : make('h3', {}, 'Reference'),
    sheet.reference === null ? null : make('p', { class: 'text' }, sheet.reference),
    rows,
  ].filter((part) => part !== null);
  return { parts, begin: () => { if (sheet.words.length > 0) choose(Math.min(state.word, sheet.words.length - 1)); } };
}

function verdict(sheet) {
  if (!sheet.marks) return '';
  const wrong = sheet.marks.sentences.filter(([, mark]) => mark === 'contradicts').length + sheet.marks.missed.length;
  return wrong === 0 ? '✓' : `${wrong} ✗`;
}

/** How to use the viewer. */
function keys() {
  return ['Choose a word to see where it looked. ', make('kbd', {}, '←'), ' ', make('kbd', {}, '→'),
    ' move between words, ', make('kbd', {}, '↑'), ' ', make('kbd', {}, '↓'), ' in the list between studies.'];
}

/** A list of studies beside the one that is open. `after` makes what follows a study's report. */
function viewer({ heading = 'Prediction', after = () => [] } = {}) {
  const sheets = [];
  const place = make('div', { id: 'study', 'aria-live': 'polite' });
  const list = make('nav', { class: 'list', 'aria-label': 'Studies' });
  const buttons = list.children;
  const open = (index) => {
    state.study = index;
    state.word = 0;
    [...buttons].forEach((button, other) => button.setAttribute('aria-current', String(other === index)));
    const { parts, begin } = detail(sheets[index], heading);
    place.replaceChildren(...parts, ...after(sheets[index]));
    begin();
  };
  const add = (sheet) => {
    const index = sheets.push(sheet) - 1;
    list.append(make('button', { type: 'button', on: { click: () => open(index) } },
      make('span', {}, sheet.id), make('span', { class: 'faint' }, verdict(sheet))));
  };
  const clear = () => {
    sheets.length = 0;
    list.replaceChildren();
    place.replaceChildren();
  };
  list.addEventListener('keydown', (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    open((state.study + move + buttons.length) % buttons.length);
    buttons[state.study].focus();
  });
  return { element: make('div', { class: 'browser' }, list, place), sheets, add, open, clear };
}
