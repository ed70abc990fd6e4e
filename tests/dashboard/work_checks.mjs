// What is looked for and what is done on each view.
import assert from 'node:assert/strict';

import {asUser, detect, kPatienceMs, report, settled, shot, trial} from './browser.mjs';

const count = (page) => page.locator('.view-tools').innerText();
const counts = (page, text) => page.waitForFunction((t) => document.querySelector('.view-tools')?.textContent.includes(t), text);

export async function searchFindsByPlateCameraConfidenceAndTime() {
  await asUser('vera', '#/search', async (page) => {
    await counts(page, 'found');
    await page.fill('#plate', '1กข 1100');
    await page.press('#plate', 'Enter');
    await counts(page, '1 found');
    assert.match(await page.locator('.result').innerText(), /1กข 1100/);
    await page.getByRole('link', {name: 'Clear'}).click();
    await page.waitForFunction(() => document.querySelectorAll('.result').length > 5);
    await page.selectOption('#camera_id', 'CAM002');
    await page.selectOption('#min_confidence', '0.9');
    await page.getByRole('button', {name: 'Search'}).click();
    await page.waitForFunction(() => [...document.querySelectorAll('.result')].every((r) => r.textContent.includes('CAM002')));
    assert.match(await page.evaluate(() => location.hash), /camera_id=CAM002&min_confidence=0.9/);
    await page.goto(`${trial.url}/#/search?from=2001-01-01T00:00:00.000Z&to=2001-01-02T00:00:00.000Z`);
    await page.getByText('Nothing found').waitFor();
  });
}

export async function aLongListHasOnlyWhatIsInSight() {
  await asUser('vera', '#/search?plate=1%E0%B8%81%E0%B8%82', async (page) => {
    await settled(page);
    const seen = new Set();
    for (let at = 0; at < 60 && !seen.has('1กข 1000'); at++) {
      const rows = await page.locator('.result .plate').allInnerTexts();
      rows.forEach((text) => seen.add(text));
      assert.ok(rows.length < 60, `${rows.length} rows in the page`);
      await page.evaluate(() => { document.querySelector('.virtual').scrollTop += 500; });
      await page.waitForTimeout(60);  // For the list to draw what it has come to.
    }
    assert.ok(seen.has('1กข 1000') && seen.size >= 250, `the oldest is not reached, ${seen.size} seen: ${await count(page)}`);
  });
}

export async function aDetectionShowsItsPicturesAndFacts() {
  await asUser('otto', '#/search?plate=1259', async (page) => {
    await page.locator('.result', {hasText: '1259'}).click();
    await page.waitForFunction(() => document.querySelector('.whole img')?.naturalWidth > 0 && document.querySelector('.crop img')?.naturalWidth > 0);
    await page.getByText('GATE-1', {exact: true}).waitFor();
    await page.getByRole('button', {name: 'Back'}).click();
    await page.locator('.result').first().waitFor();
    await page.goto(`${trial.url}/#/detection/018d0cab-c078-8aee-9f60-000000000000`);
    await page.getByText('There is no such detection').waitFor();
  }, {}, [/status of 404/]);
}

export async function whatComesFromOutsideIsText() {
  const nasty = '<img src=x onerror="document.title=1">';
  await detect(nasty, {camera: 'CAM003'});
  await asUser('vera', '#/live', async (page) => {
    await page.locator('.tile .plate', {hasText: nasty}).waitFor();
    assert.equal(await page.locator('.plate img').count(), 0);
  });
}

export async function aPlateIsBlacklistedSeenAndTakenOff() {
  await asUser('otto', '#/blacklist', async (page) => {
    await page.fill('#license_plate', '9ฮฮ 99');
    await page.fill('#reason', 'stolen <b>yesterday</b>');
    await page.getByRole('button', {name: 'Add', exact: true}).click();
    const row = page.locator('tbody tr', {hasText: '9ฮฮ'});
    await row.waitFor();
    await page.locator('.connection-live').waitFor();
    await detect('9ฮฮ 99', {picture: 1});
    const notice = page.locator('.notice', {hasText: 'stolen <b>yesterday</b>'});
    await notice.waitFor();
    await shot(page, 'blacklist-notice');
    await notice.getByRole('button', {name: 'Dismiss'}).click();
    await notice.waitFor({state: 'detached'});
    await row.getByRole('button').click();
    await page.getByRole('dialog').getByRole('button', {name: 'Remove', exact: true}).click();
    await row.waitFor({state: 'detached'});
  });
}

export async function aCameraGetsItsNameAndPlace() {
  await detect('2ขข 1', {camera: 'CAM004'});
  await asUser('otto', '#/camera/CAM004', async (page) => {
    await page.fill('#camera_name', 'South car park');
    await page.fill('#latitude', '13.7552');
    await page.fill('#longitude', '100.506');
    await page.getByRole('button', {name: 'Save'}).click();
    await page.getByText('Saved.').waitFor();
    await page.goto(`${trial.url}/#/cameras`);
    const marker = page.locator('.map-camera', {hasText: 'South car park'});
    await marker.waitFor();
    const before = await marker.boundingBox();
    await page.getByRole('button', {name: 'Closer'}).click();
    await page.waitForFunction(([x, y]) => {
      const box = [...document.querySelectorAll('.map-camera')].find((m) => m.textContent.includes('South car park'))?.getBoundingClientRect();
      return !box || Math.abs(box.x - x) > 5 || Math.abs(box.y - y) > 5;
    }, [before.x, before.y]);
  });
}

export async function aCamerasHealthIsThere() {
  await asUser('vera', '#/camera/CAM002', async (page) => {
    await page.getByText('no picture').first().waitFor();
    await page.locator('.connection-live').waitFor();
    await report('CAM002', 'PASS', 'picture is back');
    await page.reload();
    await page.getByText('picture is back').first().waitFor();
    assert.ok(await page.locator('.health-strip span').count() >= 2);
  });
}

export async function anAlertIsAcknowledged() {
  await asUser('otto', '#/alerts', async (page) => {
    const alert = page.locator('.alert-row', {hasText: 'disk'}).first();
    await alert.waitFor();
    await page.locator('#menu .count').waitFor();
    await alert.getByRole('button', {name: 'Acknowledge'}).click();
    await page.fill('#note', 'more space is ordered');
    await page.getByRole('dialog').getByRole('button', {name: 'Acknowledge'}).click();
    await page.getByText('Acknowledged by otto').waitFor();
    await page.getByText('more space is ordered').waitFor();
    await page.locator('#menu .count').waitFor({state: 'detached'});
    await page.reload();
    await page.getByText('Acknowledged by otto').waitFor();
  });
}

export async function statisticsAddUp() {
  await asUser('vera', '#/statistics', async (page) => {
    await page.locator('.chart canvas[data-drawn]').waitFor();
    await page.getByRole('button', {name: 'As a table'}).click();
    const sum = () => page.locator('tbody tr td:nth-child(2)').allInnerTexts().then((all) => all.reduce((n, text) => n + Number(text.replace(/\D/g, '')), 0));
    const hours = await sum();
    assert.ok(hours >= 260, `${hours} in the last day`);
    await page.getByRole('button', {name: 'Camera', exact: true}).click();
    await page.getByRole('heading', {name: 'Detections by camera'}).waitFor();
    assert.ok(await sum() >= 260);
    await page.getByRole('button', {name: 'Day', exact: true}).click();
    await page.getByRole('heading', {name: 'Detections a day'}).waitFor();
    assert.ok(await sum() >= 260);
  });
}

export async function communicationShowsWhatWasAskedOfTheNode() {
  await asUser('vera', '#/communication', async (page) => {
    await page.locator('section', {hasText: 'Received, by protocol'}).getByText('rest', {exact: true}).waitFor();
    await page.getByText('This node has no roads').waitFor();
  });
}

export async function theConfigurationIsPlannedAppliedAndTakenBack() {
  await asUser('anna', '#/config', async (page) => {
    const yaml = page.locator('#yaml');
    await yaml.waitFor();
    const text = await yaml.inputValue();
    assert.ok(/level:? *"?'?info|"level": *"info"/.test(text), text);
    await yaml.fill(text.replace(/\binfo\b/, 'loud'));
    await page.getByRole('button', {name: 'Show what would change'}).click();
    await page.getByText('This cannot be applied').waitFor();
    await yaml.fill(text.replace(/\binfo\b/, 'debug'));
    await page.getByRole('button', {name: 'Show what would change'}).click();
    await page.locator('tbody tr', {hasText: 'log'}).first().waitFor();
    await shot(page, 'config-plan');
    await page.getByRole('button', {name: 'Apply', exact: true}).click();
    await page.getByRole('button', {name: 'Yes'}).click();
    await page.getByRole('button', {name: 'Keep it'}).click();
    await page.getByText('Confirmed.').waitFor({timeout: 2 * kPatienceMs});
    assert.match(await yaml.inputValue(), /debug/);
    await page.getByRole('button', {name: 'Go back to it'}).first().click();
    await page.getByRole('button', {name: 'Yes'}).click();
    await page.getByText('Gone back to revision').waitFor();
  }, {}, [/status of 422/]);
}
