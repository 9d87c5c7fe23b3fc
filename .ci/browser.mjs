// Drives headless Chromium over its DevTools protocol; see .ci/browser.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [page, shots] = process.argv.slice(2);
const failures = [];
const check = (holds, law) => {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${law}`);
  if (!holds) failures.push(law);
};

const profile = mkdtempSync(join(tmpdir(), 'browser-'));
const chromium = spawn('chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0',
  `--user-data-dir=${profile}`, '--window-size=1280,1600', 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });

process.on('exit', () => chromium.kill());

/** Address that Chromium announces on standard error. */
const address = await new Promise((found, failed) => {
  let said = '';
  chromium.stderr.on('data', (text) => {
    said += text;
    const match = said.match(/DevTools listening on (ws:\S+)/);
    if (match) found(match[1]);
  });
  chromium.on('exit', () => failed(new Error(`chromium ended: ${said}`)));
});

const socket = new WebSocket(address);
await new Promise((open) => socket.addEventListener('open', open));
let last = 0;
const waiting = new Map();
const complaints = [];
const requests = [];
socket.addEventListener('message', ({ data }) => {
  const message = JSON.parse(data);
  if (message.id) waiting.get(message.id)(message);
  const { method, params } = message;
  if (method === 'Runtime.exceptionThrown') complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
  if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type)) complaints.push(JSON.stringify(params.args));
  if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level)) complaints.push(params.entry.text);
  if (method === 'Network.requestWillBeSent') requests.push(params.request.url);
});
const send = (method, params = {}, sessionId) => new Promise((done, failed) => {
  last += 1;
  waiting.set(last, (message) => message.error ? failed(new Error(`${method}: ${message.error.message}`)) : done(message.result));
  socket.send(JSON.stringify({ id: last, method, params, sessionId }));
});

const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
const tab = (method, params) => send(method, params, sessionId);
const evaluate = async (expression) => {
  const { result, exceptionDetails } = await tab('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
};
const press = async (key) => {
  for (const type of ['keyDown', 'keyUp']) await tab('Input.dispatchKeyEvent', { type, key, code: key });
};
const shoot = async (name) => {
  const { data } = await tab('Page.captureScreenshot', { captureBeyondViewport: true });
  writeFileSync(join(shots, name), Buffer.from(data, 'base64'));
  return data.length;
};
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

for (const domain of ['Runtime', 'Log', 'Network', 'Page']) await tab(`${domain}.enable`);
await tab('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'light' }] });
const loaded = new Promise((done) => socket.addEventListener('message', ({ data }) => JSON.parse(data).method === 'Page.loadEventFired' && done()));
await tab('Page.navigate', { url: pathToFileURL(resolve(page)).href });
await loaded;

check(statSync(page).size < 10_000_000, `below 10 MB (${statSync(page).size} bytes)`);
check(await evaluate('document.querySelectorAll("#page h2").length') >= 1, 'sections are drawn');
const isEvaluation = await evaluate('Array.isArray(run.systems)');
await (isEvaluation ? checkEvaluation() : checkRun());

const ground = 'getComputedStyle(document.body).backgroundColor';
const light = await evaluate(ground);
await tab('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });
check(await evaluate(ground) !== light, 'dark mode is dark');
await shoot('dark.png');
check(complaints.length === 0, `no console errors ${complaints.join(' | ')}`);
check(requests.every((url) => url.startsWith('file:') || url.startsWith('data:')), 'no request leaves the page');

socket.close();
chromium.removeAllListeners('exit');
const ended = new Promise((done) => chromium.on('exit', done));
chromium.kill();
await ended;
rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
if (failures.length > 0) process.exitCode = 1;
