// What the checks share: the browser, people who sign in, cameras that send, orders to the trial.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import readline from 'node:readline';
import {fileURLToPath} from 'node:url';

const kRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const require = createRequire(path.join(kRoot, 'build/npm/node_modules/from.cjs'));
const {chromium} = require('playwright-core');
const {AxeBuilder} = require('@axe-core/playwright');

export const trial = JSON.parse(process.env.DASHBOARD_TRIAL);
export const kPatienceMs = 20000;
export const kDesktop = {viewport: {width: 1440, height: 900}, colorScheme: 'dark'};
export const kPhone = {viewport: {width: 390, height: 780}, colorScheme: 'dark', hasTouch: true};

const answers = readline.createInterface({input: process.stdin})[Symbol.asyncIterator]();
export async function order(word) {
  process.stdout.write(`ORDER ${word}\n`);
  assert.equal((await answers.next()).value, 'done');
}

let browser = null;
export async function openBrowser() {
  browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage']});
}
export const closeBrowser = () => browser?.close();

// What no page may do: ask another host, break the content policy, throw. Requests that a check
// means to be refused are named by it.
function watched(page, faults, meant) {
  page.on('request', (request) => {
    const {protocol, host} = new URL(request.url());
    const own = [trial.url, trial.plain, trial.direct].some((url) => new URL(url).host === host);
    if (!own && !['data:', 'blob:'].includes(protocol)) faults.push(`asks another host: ${request.url()}`);
  });
  page.on('pageerror', (error) => faults.push(`throws: ${error.stack}`));
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const text = `${message.text()} ${message.location().url}`;
    if (!meant.some((pattern) => pattern.test(text))) faults.push(`console: ${text}`);
  });
}

// A fresh browser's page for `act`, closed afterwards; the check fails with what was wrong on it.
export async function withPage(options, act, meant = []) {
  const {language = 'en', ...rest} = options;
  const context = await browser.newContext({...kDesktop, ...rest});
  context.setDefaultTimeout(kPatienceMs);
  await context.addInitScript((name) => {
    if (!localStorage.getItem('viaduct.language')) localStorage.setItem('viaduct.language', name);
  }, language);
  const page = await context.newPage();
  const faults = [];
  watched(page, faults, meant);
  try {
    await act(page, context);
    assert.deepEqual(faults, []);
  } catch (error) {
    if (trial.shots) await page.screenshot({path: path.join(trial.shots, 'failure.png')}).catch(() => {});
    if (faults.length) console.log('on the page:', faults);
    throw error;
  } finally {
    await context.close();
  }
}

export async function logIn(page, user, address = '#/live', base = trial.url) {
  await page.goto(`${base}/${address}`);
  await page.fill('#user', user);
  await page.fill('#password', trial.password);
  await page.press('#password', 'Enter');
  await page.locator('#menu').waitFor({state: 'attached'});
}

export const asUser = (user, address, act, options = {}, meant = []) => withPage(options, async (page, context) => {
  await logIn(page, user, address);
  await act(page, context);
}, meant);

// The view is there, with what it had to load.
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector('#view-title') && !document.querySelector('main .skeleton'));
}

export async function hasLive(page) { await page.locator('.connection-live').waitFor(); }

// Serious and worse findings of axe; those of others are told.
export async function accessible(page, what) {
  const {violations} = await new AxeBuilder({page}).analyze();
  const told = violations.map((v) => `${v.impact} ${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`);
  const serious = told.filter((_, at) => ['serious', 'critical'].includes(violations[at].impact));
  if (told.length > serious.length) console.log(`axe, ${what}:`, told.filter((text) => !serious.includes(text)));
  assert.deepEqual(serious, [], what);
}

export async function fitsItsWidth(page, what) {
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(beyond <= 0, `${what} is ${beyond} px wider than the screen`);
}

export async function shot(page, name) {
  if (!trial.shots) return;
  fs.mkdirSync(trial.shots, {recursive: true});
  await page.screenshot({path: path.join(trial.shots, `${name}.png`)});
}

// --- Cameras, past the page and past the relay ---

async function send(method, where, body) {
  const response = await fetch(`${trial.direct}${where}`, {
    method, headers: {'Content-Type': 'application/json', 'X-API-Key': trial.key}, body: JSON.stringify(body)});
  const answer = await response.json();
  assert.ok(response.ok, `${where}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

const image = (files, at) => fs.readFileSync(files[at % files.length]).toString('base64');

export function detect(plate, {camera = 'CAM001', confidence = 0.93, time = new Date(), picture = null} = {}) {
  return send('POST', '/api/detection', {
    type: 'detection_result', camera_id: camera, checkpoint_id: 'GATE-1', timestamp: time.toISOString(), vehicles_count: 1,
    plates_count: 1, ocr_results: [{text: plate, confidence}],
    ...(picture !== null && {annotated_image: image(trial.pictures, picture), cropped_plates: [image(trial.crops, picture)]})});
}

export function report(camera, status, message) {
  return send('POST', '/api/health', {type: 'health_check', camera_id: camera, checkpoint_id: 'GATE-1', status, message,
                                      component: 'camera', timestamp: new Date().toISOString(), details: {cpu_usage: 12.5}});
}

// As a node tells of its roads, with `details` of anybody's making.
export function tell(node, details) {
  return send('POST', '/api/health', {type: 'health_check', camera_id: node, checkpoint_id: node, component: 'gateway',
                                      status: 'healthy', timestamp: new Date().toISOString(), details});
}

export function register(camera, more) {
  return send('POST', '/api/cameras/register', {camera_id: camera, checkpoint_id: 'GATE-1', ...more});
}
