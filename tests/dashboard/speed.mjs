// The figures of speed.py.
import {closeBrowser, detect, hasLive, kDesktop, logIn, openBrowser, settled, trial, withPage} from './browser.mjs';

const kLoads = 9;
const kPerSecond = 50;
const kSeconds = 20;
const kSearches = 15;

function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] * 10) / 10;
  return `p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, most ${at(1)} (${sorted.length})`;
}

// With an empty cache each time, as somebody who has signed in.
async function firstPaint() {
  const paints = [];
  const ready = [];
  for (let at = 0; at < kLoads; at++) {
    await withPage(kDesktop, async (page) => {
      await logIn(page, 'vera');
      const context = page.context();
      const session = await context.newCDPSession(page);
      await session.send('Network.clearBrowserCache');
      await page.reload();
      await settled(page);
      ready.push(await page.evaluate(() => performance.now()));
      paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
    });
  }
  console.log(`first contentful paint, ms: ${spread(paints)}`);
  console.log(`wall with its first detections, ms: ${spread(ready)}`);
}

async function weight() {
  await withPage(kDesktop, async (page, context) => {
    const session = await context.newCDPSession(page);
    await session.send('Network.enable');
    const sizes = new Map();
    const files = new Map();
    session.on('Network.responseReceived', ({requestId, response}) => files.set(requestId, new URL(response.url).pathname));
    session.on('Network.loadingFinished', ({requestId, encodedDataLength}) => sizes.set(requestId, encodedDataLength));
    await logIn(page, 'vera', '#/statistics');
    await settled(page);
    await page.waitForLoadState('networkidle', {timeout: 3000}).catch(() => {});
    const own = [...sizes].filter(([id]) => files.get(id) === '/' || files.get(id)?.startsWith('/dashboard/'));
    console.log(`page with all its scripts and styles, compressed: ${(own.reduce((n, [, size]) => n + size, 0) / 1024).toFixed(0)} KiB`);
  });
}

// From the answer that says it is stored to the frame that has it on the screen.
async function toTheScreen() {
  await withPage(kDesktop, async (page) => {
    await logIn(page, 'vera');
    await hasLive(page);
    await settled(page);
    await page.evaluate(() => {
      window.seen = new Map();
      const look = () => {
        const now = performance.timeOrigin + performance.now();
        document.querySelectorAll('.tile .plate').forEach((plate) => {
          if (!window.seen.has(plate.textContent)) window.seen.set(plate.textContent, now);
        });
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
    const stored = new Map();
    const sends = [];
    const begin = performance.now();
    for (let at = 0; at < kPerSecond * kSeconds; at++) {
      const plate = `Z${at}`;
      sends.push(detect(plate, {camera: `CAM00${at % 8}`, picture: at}).then(
          () => stored.set(plate, performance.timeOrigin + performance.now())));
      const next = (at + 1) * 1000 / kPerSecond;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, begin + next - performance.now())));
    }
    const took = (performance.now() - begin) / 1000;
    await Promise.all(sends);
    await page.waitForFunction((plate) => window.seen.has(plate), `Z${kPerSecond * kSeconds - 1}`);
    const seen = new Map(await page.evaluate(() => [...window.seen]));
    const waits = [...stored].filter(([plate]) => seen.has(plate)).map(([plate, time]) => Math.max(0, seen.get(plate) - time));
    console.log(`sent ${(sends.length / took).toFixed(0)} a second with a picture each; seen ${waits.length} of ${sends.length}`);
    console.log(`from commit to screen, ms: ${spread(waits)}`);
  });
}

async function search() {
  const queries = {
    'newest page': () => '', 'one camera': (at) => `camera_id=BENCH${(at * 37) % 1000}`,
    'part of a plate': (at) => `plate=${String(1000 + at * 131).slice(0, 4)}`,
    'a day': (at) => { const to = Date.now() - at * 86400000; return `from=${new Date(to - 86400000).toISOString()}&to=${new Date(to).toISOString()}`; },
    'a day, sure, part of a plate': (at) => `plate=A&min_confidence=0.9&from=${new Date(Date.now() - (at + 1) * 86400000).toISOString()}&to=${new Date(Date.now() - at * 86400000).toISOString()}`,
  };
  await withPage(kDesktop, async (page) => {
    await logIn(page, 'vera', '#/alerts');
    await settled(page);
    for (const [name, query] of Object.entries(queries)) {
      const times = [];
      for (let at = 0; at < kSearches; at++) {
        times.push(await page.evaluate(async (address) => {
          location.hash = '#/alerts';
          await new Promise((resolve) => setTimeout(resolve, 100));
          const begin = performance.now();
          location.hash = address;
          while (!document.querySelector('.result, main .empty')) await new Promise(requestAnimationFrame);
          return performance.now() - begin;
        }, `#/search?${query(at)}`));
      }
      console.log(`search with ${trial.rows} rows, ${name}, ms to the rows on the screen: ${spread(times)}`);
    }
  });
}

await openBrowser();
await firstPaint();
await weight();
await toTheScreen();
if (trial.rows) await search();
await closeBrowser();
process.exit(0);
