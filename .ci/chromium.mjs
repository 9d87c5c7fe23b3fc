// Drives headless Chromium over its DevTools protocol; .ci/browser.mjs and .ci/serve.mjs use it.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const failures = [];

/** Says whether a law holds; one that does not fails the script at its end. */
export const check = (holds, law) => {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${law}`);
  if (!holds) failures.push(law);
};

/** Opens Chromium with one tab; screenshots go to the folder `shots`. */
export async function open(shots) {
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
  /** A screenshot of the whole page; returns its size. */
  const shoot = async (name) => {
    const { cssContentSize: { width, height } } = await tab('Page.getLayoutMetrics');
    const { data } = await tab('Page.captureScreenshot', { captureBeyondViewport: true, clip: { x: 0, y: 0, width, height, scale: 1 } });
    writeFileSync(join(shots, name), Buffer.from(data, 'base64'));
    return data.length;
  };
  for (const domain of ['Runtime', 'Log', 'Network', 'Page', 'DOM']) await tab(`${domain}.enable`);

  /** Loads an address, in light colours. */
  const visit = async (url) => {
    await tab('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'light' }] });
    const loaded = new Promise((done) => socket.addEventListener('message', ({ data }) => JSON.parse(data).method === 'Page.loadEventFired' && done()));
    await tab('Page.navigate', { url });
    await loaded;
  };

  /** Waits until an expression is true; returns the milliseconds that took, or null. */
  const until = async (expression, seconds = 30) => {
    const began = performance.now();
    while (performance.now() - began < 1000 * seconds) {
      if (await evaluate(expression)) return performance.now() - began;
      await new Promise((done) => setTimeout(done, 10));
    }
    return null;
  };

  /** Drops files from outside onto a point of the page. */
  const drop = async (files, x, y) => {
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop']) await tab('Input.dispatchDragEvent', { type, x, y, data });
  };

  const dark = () => tab('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: 'dark' }] });

  /** Ends Chromium; the script fails if a check did. */
  const close = async () => {
    socket.close();
    chromium.removeAllListeners('exit');
    const ended = new Promise((done) => chromium.on('exit', done));
    chromium.kill();
    await ended;
    try {
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    } catch {
      console.log(`left behind: ${profile}`);
    }
    if (failures.length > 0) process.exitCode = 1;
  };

  return { tab, evaluate, press, shoot, visit, until, drop, dark, close, complaints, requests };
}
