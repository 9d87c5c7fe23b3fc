// What the page of a run, or of an evaluation, must do; see .ci/browser.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { check, open } from './chromium.mjs';

const [page, shots] = process.argv.slice(2);
const { tab, evaluate, press, shoot, visit, dark, close, complaints, requests } = await open(shots);
const canvases = '[...document.querySelectorAll(".view canvas")].map((c) => c.toDataURL()).join()';

/** The page of a training run. */
async function checkRun() {
  check(await evaluate('run.epochs.length === 0 || document.querySelectorAll("figure svg polyline").length > 5'), 'charts are drawn');
  check(await evaluate('!run.similarities || document.querySelectorAll("figure svg polygon").length === 3'), 'similarities are spread out');
  check(await evaluate('run.studies.length === document.querySelectorAll(".list button").length'), 'every study is listed');
  check(await evaluate('[...document.images].every((image) => image.complete && image.naturalWidth > 0)'), 'images decode');
  check(await shoot('light.png') > 10_000, 'light screenshot');
  check(await evaluate('run.studies.some((s) => s.marks) === document.getElementById("page").textContent.includes("agrees with the reference")'), 'marks are explained where there are any');
  check(await evaluate('run.studies.every((s) => !s.attention) || /^[0-9.]+ %$/.test(document.getElementById("most").textContent)'), 'the heat-map has a scale');
  for (const width of [1300, 1100, 900]) {
    await tab('Emulation.setDeviceMetricsOverride', { width, height: 1600, deviceScaleFactor: 1, mobile: false });
    check(await evaluate('[...document.querySelectorAll(".scores")].every((t) => t.scrollWidth <= t.parentElement.clientWidth)'), `the scores fit into ${width} pixels`);
    check(await evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth'), `nothing overflows at ${width} pixels`);
  }
  await tab('Emulation.setDeviceMetricsOverride', { width: 420, height: 1600, deviceScaleFactor: 1, mobile: false });
  check(await evaluate('document.documentElement.scrollWidth <= document.documentElement.clientWidth'), 'nothing overflows at 420 pixels');
  await shoot('narrow.png');
  await tab('Emulation.clearDeviceMetricsOverride');

  const first = await evaluate(canvases);
  await evaluate('document.querySelectorAll(".text button")[3].click()');
  const fourth = await evaluate(canvases);
  check(first !== fourth, 'heat-maps change when the word changes');
  await evaluate('document.querySelector(".text button[aria-pressed=true]").focus()');
  await press('ArrowRight');
  check(await evaluate('state.word') === 4 && await evaluate(canvases) !== fourth, 'arrow keys move between words, and heat-maps follow');
  check(await evaluate('document.activeElement.getAttribute("aria-pressed")') === 'true', 'the focus moves along');
  const memory = await evaluate('document.getElementById("memory").textContent');
  await press('ArrowRight');
  check(await evaluate('document.getElementById("memory").textContent') !== memory, 'memory rows follow the word');
  await evaluate('document.querySelector(".list button").focus()');
  await press('ArrowDown');
  check(await evaluate('state.study === Math.min(1, run.studies.length - 1)'), 'arrow keys move between studies');
  const layers = await evaluate('document.getElementById("layer")?.options.length ?? 0');
  const mean = await evaluate(canvases);
  await evaluate('(() => { const s = document.getElementById("layer"); s.selectedIndex = s.options.length - 1; s.dispatchEvent(new Event("change")); })()');
  check(layers === 2 || await evaluate(canvases) !== mean, 'layers can be told apart');

  await evaluate('document.getElementById("shown").click()');
  check(await evaluate('[...document.querySelectorAll(".view canvas")].every((c) => c.hidden)'), 'heat-maps can be hidden');
  await evaluate('document.getElementById("shown").click()');
}

/** The page of an evaluation. */
async function checkEvaluation() {
  check(await evaluate('document.querySelectorAll("tbody tr").length >= run.groups.flatMap((group) => group.rows).length'), 'every number has a row');
  check(await evaluate('document.querySelectorAll(".track").length === run.classes.classes.length * run.systems.length'), 'every class has a bar for each system');
  check(await evaluate('run.studies.length === document.querySelectorAll(".list button").length'), 'every study is listed');
  check(await shoot('light.png') > 10_000, 'light screenshot');
  const study = 'document.getElementById("study").textContent';
  const counts = await evaluate('[...document.querySelectorAll(".list button span:last-child")].map((span) => parseInt(span.textContent) || 0)');
  check(counts.every((count, at) => at === 0 || count <= counts[at - 1]), 'the worst studies come first');
  const first = await evaluate(study);
  await evaluate('document.querySelector(".list button").focus()');
  await press('ArrowDown');
  check(counts.length < 2 || await evaluate(study) !== first, 'arrow keys move between studies');
  const id = await evaluate('run.studies[run.studies.length - 1].id');
  await evaluate(`(() => { const wanted = document.getElementById('wanted'); wanted.value = ${JSON.stringify(id)}; wanted.dispatchEvent(new Event('input')); })()`);
  check((await evaluate(study)).includes(id), 'a study is found by its id');
  await tab('Emulation.setDeviceMetricsOverride', { width: 360, height: 740, deviceScaleFactor: 1, mobile: true });
  check(await evaluate('document.documentElement.scrollWidth <= 361'), 'a narrow screen needs no sideways scrolling');
  await shoot('narrow.png');
  await tab('Emulation.clearDeviceMetricsOverride');
}

await visit(pathToFileURL(resolve(page)).href);

check(statSync(page).size < 10_000_000, `below 10 MB (${statSync(page).size} bytes)`);
check(await evaluate('document.querySelectorAll("#page h2").length') >= 1, 'sections are drawn');
const isEvaluation = await evaluate('Array.isArray(run.systems)');
await (isEvaluation ? checkEvaluation() : checkRun());

const ground = 'getComputedStyle(document.body).backgroundColor';
const light = await evaluate(ground);
await dark();
check(await evaluate(ground) !== light, 'dark mode is dark');
await shoot('dark.png');
check(complaints.length === 0, `no console errors ${complaints.join(' | ')}`);
check(requests.every((url) => url.startsWith('file:') || url.startsWith('data:')), 'no request leaves the page');

await close();
