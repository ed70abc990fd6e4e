// The roads of an edge, as it has told of them: a real one with two roads, of which one is cut.
import assert from 'node:assert/strict';

import {accessible, asUser, fitsItsWidth, kDesktop, kPhone, order, settled, shot, tell} from './browser.mjs';

const kReportMs = 60000;  // An edge tells within seconds; a machine under load is slower.
const panel = (page, node) => page.locator(`[data-node="${node}"]`);
const road = (page, name) => panel(page, 'EDGE7').locator('tbody tr', {hasText: name});
const says = (where, text) => where.getByText(text, {exact: true}).first().waitFor({timeout: kReportMs});

async function looksWell(page, name) {
  await fitsItsWidth(page, name);
  await accessible(page, name);
  await panel(page, 'EDGE7').scrollIntoViewIfNeeded();
  await shot(page, name);
}

export async function anEdgeTellsOfItsRoadsAndOneIsCut() {
  await order('edge');
  await asUser('vera', '#/communication', async (page) => {
    await says(road(page, 'fibre'), 'ready');
    await says(road(page, 'radio'), 'ready');
    await says(panel(page, 'EDGE7'), 'healthy');
    await panel(page, 'EDGE7').getByText(/told .* ago/).waitFor();
    await panel(page, 'EDGE7').locator('.file-name', {hasText: 'evidence.jpg'}).waitFor({timeout: kReportMs});
    await says(panel(page, 'EDGE7'), 'queued');
    await settled(page);
    await looksWell(page, 'roads-desktop-dark-en');
    await order('cut-road');
    await road(page, 'radio').getByText(/^(offline|cut off)$/).waitFor({timeout: kReportMs});
    await says(panel(page, 'EDGE7'), 'warning');
    await says(road(page, 'fibre'), 'ready');
    await looksWell(page, 'roads-cut-desktop-dark-en');
  });
  for (const [name, look] of [['roads-cut-desktop-light-th', {...kDesktop, colorScheme: 'light', language: 'th'}],
                              ['roads-cut-phone-dark-th', {...kPhone, language: 'th'}],
                              ['roads-cut-phone-light-en', {...kPhone, colorScheme: 'light', language: 'en'}]]) {
    await asUser('vera', '#/communication', async (page) => {
      await panel(page, 'EDGE7').waitFor();
      await settled(page);
      await looksWell(page, name);
    }, look);
  }
  await asUser('vera', '#/communication', async (page) => {
    await order('heal-road');
    await says(panel(page, 'EDGE7'), 'healthy');
    await order('stop-edge');
    await says(panel(page, 'EDGE7'), 'overdue');
    assert.equal(await page.getByText('This node has no roads').count(), 1, 'the server has none of its own');
  });
}

export async function whatANodeTellsIsText() {
  const nasty = '<img src=x onerror="document.title=1">';
  await tell('CAM666', {
    interval_s: 60, links: [{link: nasty, plugin: nasty, state: nasty, quality: 'constructor', share: 'much', recent_share: 7, latency_ms: {p50: nasty}}],
    switches: [{at: nasty, from: nasty, to: nasty, reason: nasty, why: nasty}], files: [{name: nasty, size: -1, sent: 5, status: nasty}],
    backlog: {messages: 'many', bytes: 1e300, oldest_s: null}});
  await asUser('vera', '#/communication', async (page) => {
    await panel(page, 'CAM666').getByText(nasty).first().waitFor();
    assert.equal(await panel(page, 'CAM666').locator('img').count(), 0);
    assert.notEqual(await page.title(), '1');
    await fitsItsWidth(page, 'a hostile report');
  });
}
