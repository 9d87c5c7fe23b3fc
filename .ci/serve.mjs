// What the page of `ithn serve` must do; see .ci/serve.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { check, open } from './chromium.mjs';

const [address, shots, ...films] = process.argv.slice(2);
const { tab, evaluate, press, shoot, visit, until, drop, dark, close, complaints, requests } = await open(shots);
const canvases = '[...document.querySelectorAll(".view canvas")].map((c) => c.toDataURL()).join()';
const listed = '[...document.querySelectorAll(".list button")].map((button) => button.textContent)';
const idle = 'done === sent';
const middle = [400, 300];
const folder = mkdtempSync(join(tmpdir(), 'films-'));

/** Opens the page with a screen of these pixels. */
const screen = (width, height) => tab('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 500 });
/** The study of the list, opened. */
const show = (index) => evaluate(`document.querySelectorAll(".list button")[${index}].click()`);

await screen(1280, 1000);
await visit(address);
const views = await evaluate('server.views');
check((await evaluate('document.querySelector(".notice").textContent')).includes('not for clinical use'), 'the notice comes first');
check((await evaluate('document.querySelector(".notice").textContent')).toLowerCase().includes('trained on'), 'it says what is known of the data');
await shoot('empty.png');

// One film.
await drop(films.slice(0, 1), ...middle);
const took = await until('document.querySelectorAll(".text button").length > 0');
check(took !== null, `the report of a film comes, after ${took?.toFixed(0)} ms`);
check(await evaluate('document.querySelectorAll("#study .views img").length') === 1, 'the film is shown');
check(await until('[...document.images].every((image) => image.complete && image.naturalWidth > 0)') !== null, 'it decodes');
check(await evaluate('[...document.querySelectorAll("[aria-label=\\"Findings of this report\\"] tbody tr")].length > 0'), 'findings are listed');
check(await evaluate('document.querySelectorAll("[aria-label=\\"The best reports\\"] tbody tr").length') === 3, 'three reports are listed');
const words = await evaluate('[...document.querySelectorAll(".text button")].map((b) => b.textContent).join(" ")');
check(words === await evaluate('view.sheets[0].study.reports[0].text'), 'the words are those of the best report');
const first = await evaluate(canvases);
await evaluate('document.querySelectorAll(".text button")[3].click()');
const fourth = await evaluate(canvases);
check(first !== fourth, 'heat-maps change when the word changes');
await evaluate('document.querySelector(".text button[aria-pressed=true]").focus()');
await press('ArrowRight');
check(await evaluate('state.word') === 4 && await evaluate(canvases) !== fourth, 'arrow keys move between words, and heat-maps follow');
check(complaints.length === 0, `no console errors ${complaints.join(' | ')}`);
check(await shoot('report.png') > 10_000, 'screenshot');

// Several films, as studies of their own, in their order.
await evaluate('document.getElementById("separate").click()');
await drop(films.slice(1), ...middle);
await until(`${idle} && sent === ${films.length}`);
check(JSON.stringify(await evaluate(listed)) === JSON.stringify(films.map((film) => basename(film))), 'studies stand in the order of their films');
await evaluate('document.querySelector(".list button").focus()');
await press('ArrowDown');
check(await evaluate('state.study') === 1, 'arrow keys move between studies');
check(await evaluate('[...document.querySelectorAll(".list button")].findIndex((b) => b.getAttribute("aria-current") === "true")') === 1, 'the list says which is open');

// The views of one study.
if (views > 1) {
  await evaluate('document.getElementById("together").click()');
  await drop(films.slice(0, views + 1), ...middle);
  await until(`${idle} && sent === ${films.length + 1}`);
  await show(films.length);
  check(await evaluate('document.querySelectorAll("#study .views img").length') === views, 'the views of a study are shown together');
  const left = await evaluate('document.querySelector("#study .warning")?.textContent ?? ""');
  check(left.includes(basename(films[views])), `a film beyond them is named: ${left}`);
  await shoot('views.png');
} else {
  check(await evaluate('document.getElementById("together").disabled'), 'one view leaves no choice');
}

// By the file chooser, as with a keyboard.
const before = await evaluate('sent');
const { root } = await tab('DOM.getDocument');
const { nodeId } = await tab('DOM.querySelector', { nodeId: root.nodeId, selector: '#films' });
await tab('DOM.setFileInputFiles', { nodeId, files: films.slice(0, 1) });
await until(`sent === ${before + 1} && ${idle}`);
check(await evaluate('failed') === 0 && await evaluate('view.sheets.length') === before + 1, 'chosen films are reported like dropped ones');

// Broken films among good ones, and a folder.
check(complaints.length === 0, `still no console errors ${complaints.join(' | ')}`);
const text = join(folder, 'notes.txt');
writeFileSync(text, 'to do');
await evaluate('document.getElementById("separate").click()');
await drop([text, films[0], folder], ...middle);
await until(`sent === ${before + 3} && ${idle}`);
const troubles = await evaluate('document.querySelector(".troubles").textContent');
check(troubles.includes('notes.txt') && troubles.includes('a text'), `a bad film is named: ${troubles}`);
check(troubles.includes('is a folder'), 'a folder is named');
check(await evaluate('view.sheets.length') === before + 2, 'the good film beside it is reported');
check((await evaluate('document.querySelector("[role=status]").textContent')).includes('1 of them without'), 'the count says so');
// The browser itself writes a line about every answer of 400 and more.
check(complaints.every((line) => line.startsWith('Failed to load resource') && line.includes('415')), `no other console errors ${complaints.join(' | ')}`);
await shoot('trouble.png');

// Names for screen readers.
const { nodes } = await tab('Accessibility.getFullAXTree');
const wanted = ['button', 'radio', 'checkbox', 'combobox', 'img', 'image', 'region', 'navigation', 'table'];
const nameless = nodes.filter((node) => !node.ignored && wanted.includes(node.role?.value) && !node.name?.value)
  .filter((node) => node.role.value !== 'table').map((node) => node.role.value);
check(nameless.length === 0, `every control and image has a name ${nameless.join(', ')}`);
check(nodes.some((node) => node.role?.value === 'alert') && nodes.some((node) => node.role?.value === 'status'), 'progress and troubles are announced');

// Narrow and dark.
await screen(360, 740);
await show(0);
check(await evaluate('document.documentElement.scrollWidth') <= 360, `nothing is wider than a screen of 360 pixels (${await evaluate('document.documentElement.scrollWidth')})`);
await shoot('narrow.png');
const ground = 'getComputedStyle(document.body).backgroundColor';
const light = await evaluate(ground);
await dark();
check(await evaluate(ground) !== light, 'dark mode is dark');
await shoot('narrow-dark.png');
await screen(1280, 1000);
await shoot('dark.png');

await evaluate('[...document.querySelectorAll("button")].find((button) => button.textContent === "Forget all").click()');
check(await evaluate('document.querySelectorAll(".list button").length === 0 && document.querySelector("section").hidden'), 'all is forgotten when asked');
const origin = new URL(address).origin;
check(requests.every((url) => url.startsWith(`${origin}/`) || url.startsWith('data:')), 'nothing but the server is asked');

rmSync(folder, { recursive: true });
await close();
