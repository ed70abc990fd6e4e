// What the dashboard does, seen as people see it; started by dashboard.py with a fresh node.
import assert from 'node:assert/strict';

import {closeBrowser, detect, openBrowser, register, report, trial} from './browser.mjs';
import * as live from './live_checks.mjs';
import * as look from './look_checks.mjs';
import * as people from './people_checks.mjs';
import * as roads from './roads_checks.mjs';
import * as work from './work_checks.mjs';

export const kStored = 260;  // More than two pages of the search.

// What most checks find there. Sent in order, so that the last plate is the newest.
async function fill() {
  await register('CAM001', {camera_name: 'North gate', location_lat: 13.7563, location_lon: 100.5018});
  await register('CAM002', {camera_name: 'ประตูทิศใต้', location_lat: 13.7541, location_lon: 100.5032});
  for (const [camera, status, message] of [['CAM001', 'PASS', 'fine'], ['CAM001', 'WARNING', 'lens dirty'], ['CAM002', 'FAIL', 'no picture']]) {
    await report(camera, status, message);
  }
  const start = Date.now() - kStored * 30000;
  for (let at = 0; at < kStored; at++) {
    const rest = {time: new Date(start + at * 30000), picture: at >= kStored - 24 ? at : null};
    await detect(`1กข ${1000 + at}`, {camera: at % 3 ? 'CAM001' : 'CAM002', confidence: at % 10 ? 0.93 : 0.62, ...rest});
  }
}

async function main() {
  await fill();
  await openBrowser();
  let failed = 0;
  for (const [name, check] of Object.entries({...people, ...look, ...work, ...roads, ...live})) {
    if (trial.only && name !== trial.only) continue;
    const begin = performance.now();
    try {
      await check();
      console.log(`ok   ${name} (${Math.round(performance.now() - begin)} ms)`);
    } catch (error) {
      failed++;
      console.log(`FAIL ${name}: ${error.stack}`);
    }
  }
  await closeBrowser();
  return failed;
}

assert.ok(trial.pictures.length);
process.exit(await main() ? 1 : 0);
